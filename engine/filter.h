// A filter along time whose taps are matrices, which is what a convolution is: each output is a sum over the taps of a
// window. Direct, one product for each tap and output, or minimal (see minimal.h).
#pragma once

#include "bfloat16_matrix.h"
#include "minimal.h"

namespace wavcodes {

// Window t begins at x + t * step; its taps have `width` values each and begin `tap` values apart.
struct Window {
    int taps, width;
    ptrdiff_t tap, step;
};

class Filter {
   public:
    // How the rows of a window are filtered in tiles; no outputs where they are not. `together`: rows that may be computed
    // at once, for none is worth anything before all are there.
    static Minimal::Plan plan(const Kernels& kernels, const Window& window, int columns, size_t together);
    // Taps of a plan that stand before those of the window. Their weights are zero; what they read has to be there.
    static int added_taps(const Window& window, const Minimal::Plan& plan) {
        return plan.outputs ? plan.taps * plan.halves() - window.taps : 0;
    }

    // `values`: weights of the window's values, [taps][width], for each column, and after those of `extra` more values,
    // with which there is no plan, as with several ranges.
    Filter(const Kernels& kernels, const Window& window, const Minimal::Plan& plan, int extra,
           const std::vector<ColumnRange>& ranges, const Values& values, const std::function<float(int)>& bias);

    size_t bytes() const { return minimal_ ? minimal_->bytes() : bfloat16_ ? bfloat16_->bytes() : direct_->bytes(); }
    // Rows that are computed together.
    size_t block() const { return minimal_ ? minimal_->block(dilation()) : 1; }
    // The rows of the blocks that the first `rows` rows are in.
    size_t filled(size_t rows) const { return (rows + block() - 1) / block() * block(); }
    // Of `ready` rows from row `position` of the signal on: those that can be computed before more come.
    size_t whole(size_t position, size_t ready) const {
        return minimal_ ? minimal_->whole(position, ready, dilation()) : ready;
    }
    // Rows `position` ... `position + rows - 1` of the signal, whose windows begin at x; `extra`: the further values of
    // each row, if there are some.
    void run(const float* x, size_t position, size_t rows, const Matrix::Output& output, int threads,
             const Segment* extra = nullptr) const;

   private:
    int dilation() const { return int(window_.tap / window_.step); }
    const Window window_;
    std::unique_ptr<Matrix> direct_;
    std::unique_ptr<Minimal> minimal_;          // instead of `direct_`
    std::unique_ptr<Bfloat16Matrix> bfloat16_;  // instead of both
};

}  // namespace wavcodes
