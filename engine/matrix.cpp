#include "matrix.h"

#include <algorithm>

#include "bfloat16_matrix.h"
#include "threads.h"

namespace wavcodes {
namespace {

constexpr int block = 96;  // what AVX-512 multiplies in one pass
constexpr int grain = 12;  // multiple of the rows of most register tiles
// Weights that stay in the second-level cache, and rows that do beside them: they are read again for each panel.
constexpr size_t light_bytes = 768 << 10, block_bytes = 256 << 10;

}  // namespace

Matrix::Matrix(const Kernels& kernels, int length, const std::vector<ColumnRange>& ranges,
               const Values& values, const std::function<float(int)>& bias)
    : kernels_(kernels), length_(length) {
    if (Bfloat16Matrix::pays(kernels, length, ranges)) {
        bfloat16_ = std::make_shared<Bfloat16Matrix>(kernels, 1, length, 0, ranges[0].count, values, bias);
        return;
    }
    size_t total = 0;
    for (const ColumnRange& range : ranges) {
        int vectors = (range.count + kernels.lanes - 1) / kernels.lanes;
        for (int column = range.first; vectors > 0;) {
            // One leftover vector makes a slow panel: share it with the panel before (5 = 3 + 2).
            int take = std::min(vectors, kernels.max_vectors);
            if (vectors == kernels.max_vectors + 1 && kernels.max_vectors > 2) take--;
            int width = std::min(take * kernels.lanes, range.first + range.count - column);
            size_t padded = size_t(take) * kernels.lanes;
            panels_.push_back({column, width, take, range.input, total, total + padded});
            total += padded * (size_t(length) + 1);
            column += width;
            vectors -= take;
        }
        columns_ = std::max(columns_, range.first + range.count);
    }
    floats_ = Pages<float>(total);
    for (const Panel& panel : panels_) {
        const int padded = panel.vectors * kernels.lanes;
        float* b = floats_.data() + panel.bias;
        float* w = floats_.data() + panel.weights;
        for (int j = 0; j < padded; j++) b[j] = j < panel.width ? bias(panel.column + j) : 0.0f;
        for (int i = 0; i < length; i++, w += padded) {
            values(i, panel.column, panel.width, w);
            std::fill(w + panel.width, w + padded, 0.0f);
        }
    }
}

size_t Matrix::bytes() const { return bfloat16_ ? bfloat16_->bytes() : floats_.size() * sizeof(float); }

void Matrix::column(int index, float* out) const {
    const auto after = std::upper_bound(panels_.begin(), panels_.end(), index,
                                        [](int i, const Panel& panel) { return i < panel.column; });
    const Panel& panel = *std::prev(after);
    const float* weight = floats_.data() + panel.weights + (index - panel.column);
    for (int i = 0; i < length_; i++) out[i] = weight[size_t(i) * panel.vectors * kernels_.lanes];
}

Matrix Matrix::dense(const Kernels& kernels, int inputs, int outputs, const float* weight, const float* bias,
                     const float* scale) {
    return Matrix(
        kernels, inputs, {{0, outputs, 0}},
        [&](int i, int j) { return weight[size_t(j) * inputs + i] * (scale ? scale[j] : 1.0f); },
        [&](int j) { return bias ? bias[j] : 0.0f; });
}

void Matrix::apply_range(std::span<const Segment> segments, int fixed, int first_row, int last_row, int first_panel,
                         int last_panel, const Output& output) const {
    thread_local std::vector<Segment> moved;
    thread_local Floats scratch;
    size_t values = 1;  // that a further row reads
    for (const Segment& s : segments) values += std::min<size_t>(s.length, s.stride);
    const int few = std::max<int>(grain, int(block_bytes / sizeof(float) / values) / grain * grain);
    const int rows_at_once = bytes() <= light_bytes ? few : last_row;
    for (int first = first_row; first < last_row; first += rows_at_once) {
        const int rows = std::min(rows_at_once, last_row - first);
        scratch.room(size_t(rows) * kernels_.max_vectors * kernels_.lanes);
        for (int index = first_panel; index < last_panel; index++) {
            const Panel& panel = panels_[index];
            moved.assign(segments.begin(), segments.end());
            for (size_t s = 0; s < moved.size(); s++) {
                moved[s].x += first * moved[s].stride;
                if (s + fixed < moved.size()) moved[s].x += panel.input;
            }
            const float* add = output.add ? output.add + first * output.add_stride + panel.column : nullptr;
            float* out = output.out + first * output.stride + panel.column;
            kernels_.product({moved.data(), int(moved.size()), floats_.data() + panel.weights,
                              floats_.data() + panel.bias, panel.vectors, rows, out, output.stride, panel.width, add,
                              output.add_stride, output.function.from(panel.column), scratch.data()});
        }
    }
}

void Matrix::apply_panel(int index, const Segment& segment, int rows, const Output& output) const {
    thread_local Floats scratch;
    const Panel& panel = panels_[index];
    kernels_.product({&segment, 1, floats_.data() + panel.weights, floats_.data() + panel.bias, panel.vectors, rows,
                      output.out, output.stride, panel.width, output.add, output.add_stride, output.function,
                      scratch.room(size_t(rows) * kernels_.max_vectors * kernels_.lanes), block});
}

void Matrix::apply(std::span<const Segment> segments, int fixed, int rows, const Output& output,
                   int threads) const {
    if (bfloat16_) {
        const Segment& s = segments[0];
        return bfloat16_->apply({s.x, s.stride, 1, 1}, nullptr, rows, output, threads);
    }
    share_out(rows, grain, int(panels_.size()), threads, [&](int first, int last, int first_panel, int last_panel) {
        apply_range(segments, fixed, first, last, first_panel, last_panel, output);
    });
}

}  // namespace wavcodes
