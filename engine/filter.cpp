#include "filter.h"

namespace wavcodes {
namespace {

Minimal::Plan plan_of(const Window& window, int columns, size_t together) {
    if (window.tap % window.step != 0) return {};
    const Minimal::Plan plan = Minimal::plan(window.taps, window.width, columns);
    const size_t block = size_t(plan.outputs) * (window.tap / window.step);
    return plan.outputs && together % block == 0 ? plan : Minimal::Plan{};
}

}  // namespace

int Filter::added_taps(const Window& window, int columns, size_t together) {
    const Minimal::Plan plan = plan_of(window, columns, together);
    return plan.outputs ? plan.taps * plan.groups - window.taps : 0;
}

Filter::Filter(const Kernels& kernels, const Window& window, int extra, const std::vector<ColumnRange>& ranges,
               const std::function<float(int, int)>& value, const std::function<float(int)>& bias, size_t together)
    : window_(window) {
    const bool apart = ranges.size() == 1 && !extra;
    const Minimal::Plan plan = apart ? plan_of(window, ranges[0].count, together) : Minimal::Plan{};
    if (plan.outputs) {
        const int added = (plan.taps * plan.groups - window.taps) * window.width;
        minimal_ = std::make_unique<Minimal>(
            kernels, plan, window.width, ranges[0].count,
            [&](int i, int j) { return i < added ? 0.0f : value(i - added, j); }, bias);
    } else {
        direct_ = std::make_unique<Matrix>(kernels, window.taps * window.width + extra, ranges, value, bias);
    }
}

void Filter::run(const float* x, size_t position, size_t rows, const Matrix::Output& output, int threads,
                 const Segment* extra) const {
    if (minimal_) return minimal_->run(x, window_.step, dilation(), position, rows, output, threads);
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
