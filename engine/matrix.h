// Weights of a product, packed once into the panels that the kernels read.
#pragma once

#include <concepts>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "kernels.h"
#include "rows.h"

namespace wavcodes {

// A range of columns that read the same input channels, starting at `input` of each segment.
struct ColumnRange {
    int first, count, input;
};

// Weights by row and column, made of a function of both, or of one that writes `count` columns of a row from `first` on.
class Values {
   public:
    template <std::invocable<int, int> Value>
    Values(Value value)
        : fill_([value](int row, int first, int count, float* out) {
              for (int j = 0; j < count; j++) out[j] = value(row, first + j);
          }) {}
    template <std::invocable<int, int, int, float*> Fill>
    Values(Fill fill) : fill_(fill) {}
    void operator()(int row, int first, int count, float* out) const { fill_(row, first, count, out); }

   private:
    std::function<void(int, int, int, float*)> fill_;
};

class Bfloat16Matrix;

class Matrix {
   public:
    // `length` rows of weights; bias(j) is what the sum of column j starts from.
    Matrix(const Kernels& kernels, int length, const std::vector<ColumnRange>& ranges, const Values& values,
           const std::function<float(int)>& bias);

    // All columns read all of `inputs` values: weight (outputs, inputs), each output times its scale if there is one.
    static Matrix dense(const Kernels& kernels, int inputs, int outputs, const float* weight,
                        const float* bias = nullptr, const float* scale = nullptr);

    int columns() const { return columns_; }
    // The weights of one column, [length].
    void column(int index, float* out) const;
    size_t bytes() const;

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

    // The same for one panel alone, without threads: the columns of a range, if they fit into one. The sum is one of
    // blocks, which rounds less.
    void apply_panel(int index, const Segment& segment, int rows, const Output& output) const;

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
    std::shared_ptr<const Bfloat16Matrix> bfloat16_;  // instead of both
};

}  // namespace wavcodes
