// Several outputs along time from fewer products: minimal filtering F(m, r) (Winograd 1980), for convolutions whose taps
// are whole matrices.
//
// A tile of m outputs y[j] = sum over k < r of d[j + k] g[k] is a polynomial product; evaluated at m + r - 1 points it
// takes as many matrix products, where the sums themselves take m r. What a point makes of the inputs, and the points
// of the outputs, costs a few additions of rows. More points cost precision, so eight taps are two halves of four, and eight
// outputs as well; of what each point makes of them the halves are a filter again, F(2, 2), three products instead of four:
//   y0 = d0 g0 + d1 g1 = d1 (g0 + g1) - (d1 - d0) g0,   y1 = d1 g0 + d2 g1 = d1 (g0 + g1) - (d1 - d2) g1
//
// Rounding makes an output depend on all inputs of its tile, so tiles begin at multiples of their outputs, counted from
// the start of the signal: then it does not matter in which pieces the signal comes.
#pragma once

#include "matrix.h"

namespace wavcodes {

class Minimal {
   public:
    // F(outputs, taps); `halved`: of both there are twice as many, and the two are equal.
    struct Plan {
        int outputs, taps;
        bool halved;
        int halves() const { return halved ? 2 : 1; }
    };
    // The plan for a window of so many taps; no outputs where none pays.
    static Plan plan(int taps, int width, int columns);

    // `values`: weights of the window's values, [halves * taps][width], for each column.
    Minimal(const Kernels& kernels, const Plan& plan, int width, int columns, const Values& values,
            const std::function<float(int)>& bias);

    size_t bytes() const { return matrix_->bytes(); }

    // Rows that are computed together: blocks of so many begin at multiples of it, counted from the start of the signal.
    size_t block(int dilation) const { return size_t(plan_.halves()) * plan_.outputs * dilation; }
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
    // Where tiles lie: tile i begins at row i / dilation * block(dilation) + i % dilation; the rows that it reads, and its
    // outputs, are `dilation` rows apart.
    struct Tiles {
        const float* x;
        ptrdiff_t row;
        int dilation, count;
    };
    ptrdiff_t first_row(ptrdiff_t tile, int dilation) const {
        return tile / dilation * ptrdiff_t(block(dilation)) + tile % dilation;
    }
    // Products of each point: of halves the one in the middle first, to which the others are added.
    int parts() const { return plan_.halved ? 3 : 1; }
    // The weights of all points for one panel, [point][part][row][column].
    void transform(const Values& values, const std::vector<std::vector<double>>& factors, const Columns& panel,
                   float* out) const;
    // The inputs of all points, [part][point][tile][width].
    void mix_inputs(const Tiles& tiles, float* out, int threads) const;
    void apply(const Tiles& tiles, const Matrix::Output& output, int threads) const;

    const Kernels& kernels_;
    const Plan plan_;
    const int points_, width_, columns_;
    std::vector<float> into_, from_, out_of_;  // [points][points], the same negated, [outputs][points]
    std::unique_ptr<Matrix> matrix_;    // for each panel of outputs one panel for each part of each point
    std::vector<Columns> panels_;       // of the outputs
    Floats bias_;
};

}  // namespace wavcodes
