#include "filter.h"

#include <numeric>

namespace wavcodes {

Minimal::Plan Filter::plan(const Kernels& kernels, const Window& window, int columns, size_t together) {
    // Where products cost little, it is the mixing that costs.
    if (kernels.bfloat16 || window.tap % window.step != 0) return {};
    const Minimal::Plan plan = Minimal::plan(window.taps, window.width, columns);
    const size_t block = size_t(plan.outputs) * (window.tap / window.step);
    return plan.outputs && together % block == 0 ? plan : Minimal::Plan{};
}

Filter::Filter(const Kernels& kernels, const Window& window, const Minimal::Plan& plan, int extra,
               const std::vector<ColumnRange>& ranges, const Values& values, const std::function<float(int)>& bias)
    : window_(window) {
    if (Bfloat16Matrix::pays(kernels, window.taps * window.width + extra, ranges)) {
        bfloat16_ = std::make_unique<Bfloat16Matrix>(kernels, window.taps, window.width, extra, ranges[0].count, values, bias);
        return;
    }
    if (!plan.outputs) {
        direct_ = std::make_unique<Matrix>(kernels, window.taps * window.width + extra, ranges, values, bias);
        return;
    }
    const int added = added_taps(window, plan) * window.width;
    minimal_ = std::make_unique<Minimal>(
        kernels, plan, window.width, ranges[0].count,
        [&](int row, int first, int count, float* out) {
            if (row < added)
                std::fill_n(out, count, 0.0f);
            else
                values(row - added, first, count, out);
        },
        bias);
}

void Filter::run(const float* x, size_t position, size_t rows, const Matrix::Output& output, int threads,
                 const Segment* extra) const {
    if (minimal_) return minimal_->run(x, window_.step, dilation(), position, rows, output, threads);
    if (bfloat16_) {
        const ptrdiff_t row = std::gcd(window_.tap, window_.step);
        return bfloat16_->apply({x, row, int(window_.step / row), int(window_.tap / row)}, extra, int(rows), output, threads);
    }
    thread_local std::vector<Segment> segments;
    segments.clear();
    if (window_.tap == window_.width)
        segments.push_back({x, window_.step, window_.taps * window_.width});
    else
        for (int k = 0; k < window_.taps; k++) segments.push_back({x + k * window_.tap, window_.step, window_.width});
    if (extra) segments.push_back(*extra);
    direct_->apply(segments, extra ? 1 : 0, int(rows), output, threads);
}

}  // namespace wavcodes
