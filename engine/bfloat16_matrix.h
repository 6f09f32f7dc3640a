// Weights of a product in bfloat16 parts (bfloat16.h), and how it is applied.
#pragma once

#include "bfloat16.h"
#include "matrix.h"

namespace wavcodes {

class Bfloat16Matrix {
   public:
    // Whether a product of that length is computed so: not if most of a block would be empty, and all columns must read
    // the same inputs.
    static bool pays(const Kernels& kernels, int length, const std::vector<ColumnRange>& ranges) {
        return kernels.bfloat16 && length >= Bfloat16Product::block && ranges.size() == 1;
    }

    // `values`: weights of [taps][width] inputs, and after them of `extra` ones, for each column.
    Bfloat16Matrix(const Kernels& kernels, int taps, int width, int extra, int columns, const Values& values,
                   const std::function<float(int)>& bias);
    size_t bytes() const { return weights_.size() * sizeof(uint16_t); }

    // Rows of input that are `row` values apart: output row t reads rows t * step + k * tap.
    struct Input {
        const float* x;
        ptrdiff_t row;
        int step, tap;
    };
    // As Matrix::apply; `extra`: the further inputs.
    void apply(const Input& input, const Segment* extra, int rows, const Matrix::Output& output, int threads) const;

   private:
    struct Panel {
        int column, width, tiles;
        size_t weights;
    };
    void pack(const Panel& panel, const Values& values);
    void apply_range(std::span<const Bfloat16Window> windows, ptrdiff_t low, int first_row, int last_row, int first_panel,
                     int last_panel, const Matrix::Output& output) const;

    const Kernels& kernels_;
    const int taps_, width_, extra_;
    std::vector<Panel> panels_;
    Pages<uint16_t> weights_;
    Floats bias_;
};

}  // namespace wavcodes
