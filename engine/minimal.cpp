#include "minimal.h"

#include <cmath>

#include "threads.h"

namespace wavcodes {
namespace {

// Points that keep the error small, found by trying sums of powers of two; a further one is infinity.
std::vector<double> finite_points(int count) {
    if (count == 6) return {0, 1, 0.5, 2, -0.75, -1.5};
    const std::vector<double> points{0, 1, -1, 0.5, -2};
    return {points.begin(), points.begin() + count};
}

constexpr int least_tiles = 24;  // that are worth a thread

using Table = std::vector<std::vector<double>>;

// Coefficients, lowest first, of the polynomial with these roots but for number `skip`.
std::vector<double> polynomial(const std::vector<double>& roots, int skip) {
    std::vector<double> c{1};
    for (int k = 0; k < int(roots.size()); k++) {
        if (k == skip) continue;
        c.push_back(0);
        for (size_t i = c.size() - 1; i > 0; i--) c[i] = c[i - 1] - roots[k] * c[i];
        c[0] *= -roots[k];
    }
    return c;
}

// Divides row i of `a` by the power of two nearest to its length, and multiplies by it where `inverse` says.
template <class Inverse>
void balance(std::vector<double>& row, Inverse inverse) {
    double squares = 0;
    for (double v : row) squares += v * v;
    int exponent;
    const double mantissa = std::frexp(std::sqrt(squares), &exponent);
    if (mantissa < 0.70710678) exponent--;
    for (double& v : row) v = std::ldexp(v, -exponent);
    inverse(exponent);
}

}  // namespace

Minimal::Plan Minimal::plan(int taps, int width, int columns) {
    if (width < 32 || columns < 32) return {};
    // Its weights are more than those of direct filtering; beyond the last figure, in bytes, reading them costs more than
    // the products that they save.
    struct Choice {
        Plan plan;
        size_t most_bytes;
    };
    const Choice choice = taps == 2             ? Choice{{4, 2, 1}, 32 << 20}
                          : taps == 3           ? Choice{{4, 3, 1}, 16 << 20}
                          : taps == 7 || taps == 8 ? Choice{{4, 4, 2}, 40 << 20}
                                                : Choice{};
    const Plan& plan = choice.plan;
    const size_t bytes = size_t(plan.outputs + plan.taps - 1) * plan.groups * width * columns * sizeof(float);
    return bytes <= choice.most_bytes ? plan : Plan{};
}

Minimal::Minimal(const Kernels& kernels, const Plan& plan, int width, int columns,
                 const std::function<float(int, int)>& value, const std::function<float(int)>& bias)
    : kernels_(kernels),
      plan_(plan),
      points_(plan.outputs + plan.taps - 1),
      width_(width),
      columns_(columns),
      bias_(columns + 16) {
    const int outputs = plan.outputs, taps = plan.taps;
    const int finite = points_ - 1;
    const std::vector<double> points = finite_points(finite);
    Table into, weights;
    for (int i = 0; i < finite; i++) {
        into.push_back(polynomial(points, i));
        into.back().resize(points_);
        double scale = 1, power = 1;
        for (int j = 0; j < finite; j++)
            if (j != i) scale *= points[i] - points[j];
        std::vector<double> row(taps);
        for (int k = 0; k < taps; k++, power *= points[i]) row[k] = power / scale;
        weights.push_back(row);
    }
    into.push_back(polynomial(points, -1));
    weights.emplace_back(taps);
    weights.back()[taps - 1] = 1;
    Table out_of(outputs, std::vector<double>(points_));
    for (int i = 0; i < finite; i++) {
        double power = 1;
        for (int k = 0; k < outputs; k++, power *= points[i]) out_of[k][i] = power;
    }
    out_of[outputs - 1][finite] = 1;
    for (int i = 0; i < points_; i++) {
        balance(into[i], [&](int e) {
            for (double& v : weights[i]) v = std::ldexp(v, e);
        });
        balance(weights[i], [&](int e) {
            for (auto& row : out_of) row[i] = std::ldexp(row[i], e);
        });
        for (double v : into[i]) into_.push_back(float(v));
    }
    // All points of a panel stand one behind the other, so that the weights of the next one are fetched in time.
    const int most = kernels.lanes * kernels.max_vectors;
    std::vector<ColumnRange> ranges;
    for (int first = 0; first < columns; first += most) {
        const int count = std::min(most, columns - first);
        panels_.push_back({first, count});
        for (int i = 0; i < points_; i++) ranges.push_back({points_ * first + i * count, count, 0});
    }
    matrix_ = std::make_unique<Matrix>(
        kernels, plan.groups * width, ranges,
        [&](int row, int column) {
            const int panel = column / (points_ * most), count = panels_[panel].count;
            const int point = (column - points_ * panels_[panel].first) / count;
            const int own = panels_[panel].first + (column - points_ * panels_[panel].first) % count;
            const int first = row / width * taps * width + row % width;
            double sum = 0;
            for (int k = 0; k < taps; k++) sum += weights[point][k] * value(first + k * width, own);
            return float(sum);
        },
        [](int) { return 0.0f; });
    for (const auto& row : out_of)
        for (double v : row) out_of_.push_back(float(v));
    std::fill_n(bias_.data(), bias_.size(), 0.0f);
    for (int j = 0; j < columns; j++) bias_.data()[j] = bias(j);
}

void Minimal::run(const float* x, ptrdiff_t row, int dilation, size_t position, size_t rows,
                  const Matrix::Output& output, int threads) const {
    const size_t block = this->block(dilation), reach = size_t(plan_.taps * plan_.groups - 1) * dilation;
    for (size_t done = 0; done < rows;) {
        const size_t offset = (position + done) % block, count = rows - done;
        Matrix::Output rest = output;
        rest.out += done * output.stride;
        if (output.add) rest.add += done * output.add_stride;
        if (offset == 0 && count >= block) {
            const size_t blocks = count / block;
            apply({x + done * row, row, dilation, int(blocks) * dilation}, rest, threads);
            done += blocks * block;
            continue;
        }
        const size_t part = std::min(block - offset, count), values = part * columns_;
        Floats inputs((block + reach) * row), outputs(block * columns_), added(output.add ? block * columns_ : 0);
        std::fill_n(inputs.data(), inputs.size(), 0.0f);
        std::copy_n(x + done * row, (part + reach) * row, inputs.data() + offset * row);
        Matrix::Output whole{outputs.data(), columns_, nullptr, columns_, output.function};
        if (output.add) {
            std::fill_n(added.data(), added.size(), 0.0f);
            std::copy_n(rest.add, values, added.data() + offset * columns_);
            whole.add = added.data();
        }
        apply({inputs.data(), row, dilation, dilation}, whole, threads);
        std::copy_n(outputs.data() + offset * columns_, values, rest.out);
        done += part;
    }
}

void Minimal::apply(const Tiles& tiles, const Matrix::Output& output, int threads) const {
    thread_local Floats room;
    const ptrdiff_t count = tiles.count, all = count + (plan_.groups - 1) * tiles.dilation;
    float* inputs = room.room(points_ * all * width_);
    auto first_row = [&](ptrdiff_t tile) {
        return tile / tiles.dilation * plan_.outputs * tiles.dilation + tile % tiles.dilation;
    };
    parallel(threads, [&](int part) {
        for (ptrdiff_t i = all * part / threads; i < all * (part + 1) / threads; i++)
            kernels_.mix({into_.data(), points_, points_, tiles.x + first_row(i) * tiles.row, tiles.dilation * tiles.row,
                          inputs + i * width_, all * width_, width_, nullptr, nullptr, 0, {}});
    });
    // One panel of all points and then its outputs, so that the products stay in the cache.
    auto run = [&](int panel, ptrdiff_t first, ptrdiff_t last) {
        thread_local Floats scratch;
        thread_local std::vector<Segment> segments;
        const auto [column, width] = panels_[panel];
        const ptrdiff_t tiles_here = last - first, plane = tiles_here * width;
        float* products = scratch.room(points_ * plane);
        for (int p = 0; p < points_; p++) {
            segments.clear();
            for (int g = 0; g < plan_.groups; g++)
                segments.push_back({inputs + (p * all + first + g * tiles.dilation) * width_, width_, width_});
            matrix_->apply_panel(panel * points_ + p, segments, int(tiles_here), products + p * plane, width);
        }
        for (ptrdiff_t i = first; i < last; i++) {
            const ptrdiff_t row = first_row(i);
            kernels_.mix({out_of_.data(), plan_.outputs, points_, products + (i - first) * width, plane,
                          output.out + row * output.stride + column, tiles.dilation * output.stride, width,
                          bias_.data() + column, output.add ? output.add + row * output.add_stride + column : nullptr,
                          tiles.dilation * output.add_stride, output.function.from(column)});
        }
    };
    const int panels = int(panels_.size());
    if (count >= least_tiles * threads) {
        parallel(threads, [&](int part) {
            for (int panel = 0; panel < panels; panel++)
                run(panel, count * part / threads, count * (part + 1) / threads);
        });
    } else {
        parallel(std::min(threads, panels), [&](int part) {
            const int parts = std::min(threads, panels);
            for (int panel = panels * part / parts; panel < panels * (part + 1) / parts; panel++) run(panel, 0, count);
        });
    }
}

}  // namespace wavcodes
