// Several outputs along time from fewer products: minimal filtering F(m, r) (Winograd 1980), for convolutions whose taps
// are whole matrices.
//
// A tile of m outputs y[j] = sum over k < r of d[j + k] g[k] is a polynomial product; evaluated at m + r - 1 points it
// takes as many matrix products, where the sums themselves take m r. What a point makes of the inputs, and the points
// of the outputs, costs a few additions of rows. More points cost precision, so eight taps are two groups of four: a
// tile's second group of inputs is the first one of the next tile, and both go into one product.
//
// Rounding makes an output depend on all inputs of its tile, so tiles begin at multiples of m, counted from the start of
// the signal: then it does not matter in which pieces the signal comes.
#pragma once

#include "matrix.h"

namespace wavcodes {

class Minimal {
   public:
    // F(outputs, taps), `groups` times one behind the other; with more than one, taps and outputs are equal.
    struct Plan {
        int outputs, taps, groups;
    };
    // The plan for a window of so many taps; no outputs where none pays.
    static Plan plan(int taps, int width, int columns);

    // `values`: weights of the window's values, [groups * taps][width], for each column.
    Minimal(const Kernels& kernels, const Plan& plan, int width, int columns, const Values& values,
            const std::function<float(int)>& bias);

    size_t bytes() const { return matrix_->bytes(); }

    // Rows that are computed together: blocks of so many begin at multiples of it, counted from the start of the signal.
    size_t block(int dilation) const { return size_t(plan_.outputs) * dilation; }
    // Of `ready` rows from row `position` of the signal on: those that fill blocks.
    size_t whole(size_t position, size_t ready, int dilation) const {
        const size_t end = (position + ready) / block(dilation) * block(dilation);
        return end - std::min(end, position);
    }
    // Rows `position` ... `position + rows - 1` of the signal. Blocks that the signal or the stream does not fill are
    // computed with zeros for what is not there. The window of the first row begins at x, that of the next one `row`
    // values later.
    void run(const float* x, ptrdiff_t row, int dilation, size_t position, size_t rows, const Matrix::Output& output,
             int threads) const;

   private:
    struct Columns {
        int first, count;
    };
    // Where tiles lie: tile i reads groups * taps + outputs - 1 rows from row i / dilation * outputs * dilation +
    // i % dilation on, and writes its outputs in the same way; both are `dilation` rows apart.
    struct Tiles {
        const float* x;
        ptrdiff_t row;
        int dilation, count;
    };
    // The weights of all points for one panel, [point][row][column].
    void transform(const Values& values, const std::vector<std::vector<double>>& factors, const Columns& panel,
                   float* out) const;
    void apply(const Tiles& tiles, const Matrix::Output& output, int threads) const;

    const Kernels& kernels_;
    const Plan plan_;
    const int points_, width_, columns_;
    std::vector<float> into_, out_of_;  // [points][points], [outputs][points]
    std::unique_ptr<Matrix> matrix_;    // for each panel of outputs one panel for each point
    std::vector<Columns> panels_;       // of the outputs
    Floats bias_;
};

}  // namespace wavcodes
