// Weights of a product, packed once into the panels that the kernels read.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "kernels.h"
#include "rows.h"

namespace wavcodes {

// A range of columns that read the same input channels, starting at `input` of each segment.
struct ColumnRange {
    int first, count, input;
};

class Matrix {
   public:
    // `length` rows of weights; value(i, j) is row i of column j, bias(j) the start of its sum.
    Matrix(const Kernels& kernels, int length, const std::vector<ColumnRange>& ranges,
           const std::function<float(int, int)>& value, const std::function<float(int)>& bias);

    // All columns read all of `inputs` values: weight (outputs, inputs), each output times its scale if there is one.
    static Matrix dense(const Kernels& kernels, int inputs, int outputs, const float* weight,
                        const float* bias = nullptr, const float* scale = nullptr);

    int columns() const { return columns_; }
    // The weights of one column, [length].
    void column(int index, float* out) const;
    size_t bytes() const { return floats_.size() * sizeof(float); }

    struct Output {
        float* out;
        ptrdiff_t stride;
        const float* add = nullptr;  // rows to add before the activation; not those of `out`
        ptrdiff_t add_stride = 0;
        Pointwise function = {};
    };
    // out[t] = function(add[t] + bias + window(t) * weights) for t < rows. Each segment is moved by its panel's `input`,
    // except for the last `fixed` segments. Threads share out rows, or panels where rows are few.
    void apply(std::span<const Segment> segments, int fixed, int rows, const Output& output, int threads) const;

    // Columns that are computed together, and one of these sets alone, without threads.
    struct Columns {
        int first, count;
    };
    int panels() const { return int(panels_.size()); }
    Columns panel(int index) const { return {panels_[index].column, panels_[index].width}; }
    void apply_panel(int index, std::span<const Segment> segments, int rows, float* out, ptrdiff_t stride) const;

   private:
    struct Panel {
        int column, width, vectors, input;
        size_t bias, weights;  // offsets into floats_
    };
    void apply_range(std::span<const Segment> segments, int fixed, int first_row, int last_row, int first_panel,
                     int last_panel, const Output& output) const;

    const Kernels& kernels_;
    int length_, columns_ = 0;
    std::vector<Panel> panels_;
    Pages<float> floats_;
};

}  // namespace wavcodes
