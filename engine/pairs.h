// Two outputs from three products: minimal filtering F(2, 2) along time.
//
// A convolution whose kernel is twice its stride, and a transposed one with two taps, is
//     y[t] = d[t] g0 + d[t + 1] g1,    d[t] the t-th step of the input, g0 and g1 matrices.
// With e[t] = d[t + 1] - d[t] and m = d[t + 1] (g0 + g1), for even t:
//     y[t] = m - e[t] g0,    y[t + 1] = m + e[t + 1] g1
// which is three products for two outputs instead of four. Which formula an output follows depends on its position in
// the signal alone, and neither looks further ahead than the convolution itself does: chunks change nothing.
#pragma once

#include "matrix.h"

namespace wavcodes {

class Pairs {
   public:
    // value(i, j): column j of g0 for i < width, of g1 for width <= i < 2 width.
    Pairs(const Kernels& kernels, int width, int columns, const std::function<float(int, int)>& value,
          const std::function<float(int)>& bias);

    // Small products gain less than the differences and the middle terms cost.
    static bool pays(int width, int columns) { return width >= 64 && columns >= 32; }

    size_t bytes() const { return middle_.bytes() + even_.bytes() + odd_.bytes(); }

    // Outputs `position` ... `position + rows - 1` of the signal; d[position] starts at x.
    void apply(const float* x, size_t position, int rows, const Matrix::Output& output, int threads) const;

   private:
    const Kernels& kernels_;
    const int width_;
    Matrix middle_, even_, odd_;
};

}  // namespace wavcodes
