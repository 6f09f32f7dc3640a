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
constexpr int tiles_ahead = 4;   // whose outputs are fetched, for they have left the caches

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

// The power of two nearest to the length of a row, by which it is divided.
int balanced(std::vector<double>& row) {
    double squares = 0;
    for (double v : row) squares += v * v;
    int exponent;
    const double mantissa = std::frexp(std::sqrt(squares), &exponent);
    if (mantissa < 0.70710678) exponent--;
    for (double& v : row) v = std::ldexp(v, -exponent);
    return exponent;
}

// What makes inputs and weights into values at the points, and products into outputs (Toom and Cook; Winograd 1980).
struct Transforms {
    Table into, weights;  // [point][row], [point][tap]
    Table out_of;         // [output][point]
};

Transforms transforms(int outputs, int taps) {
    const int finite = outputs + taps - 2;
    const std::vector<double> points = finite_points(finite);
    Transforms t;
    t.out_of.assign(outputs, std::vector<double>(finite + 1));
    for (int i = 0; i < finite; i++) {
        double scale = 1, power = 1;
        for (int j = 0; j < finite; j++)
            if (j != i) scale *= points[i] - points[j];
        t.into.push_back(polynomial(points, i));
        t.into.back().resize(finite + 1);
        t.weights.emplace_back(taps);
        for (int k = 0; k < taps; k++, power *= points[i]) t.weights[i][k] = power / scale;
        power = 1;
        for (int k = 0; k < outputs; k++, power *= points[i]) t.out_of[k][i] = power;
    }
    t.into.push_back(polynomial(points, -1));
    t.weights.emplace_back(taps);
    t.weights.back()[taps - 1] = 1;
    t.out_of[outputs - 1][finite] = 1;
    for (int i = 0; i <= finite; i++) {
        const int into = balanced(t.into[i]);
        for (double& v : t.weights[i]) v = std::ldexp(v, into);
        const int weights = balanced(t.weights[i]);
        for (auto& row : t.out_of) row[i] = std::ldexp(row[i], weights);
    }
    return t;
}

std::vector<float> flat(const Table& table) {
    std::vector<float> values;
    for (const auto& row : table) values.insert(values.end(), row.begin(), row.end());
    return values;
}

// Sums over the rows of `given`. Compilers make vectors of it for a number of rows that they know.
template <int rows>
void combine(const double* factors, const float* given, int count, double* out) {
    for (int j = 0; j < count; j++) {
        double sum = 0;
        for (int k = 0; k < rows; k++) sum += factors[k] * given[k * count + j];
        out[j] = sum;
    }
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
    Choice choice{};
    if (taps == 2) choice = {{4, 2, false}, 32 << 20};
    if (taps == 3) choice = {{4, 3, false}, 16 << 20};
    if (taps == 7 || taps == 8) choice = {{4, 4, true}, 60 << 20};
    const Plan& plan = choice.plan;
    const size_t products = size_t(plan.outputs + plan.taps - 1) * (plan.halved ? 3 : 1);
    const size_t bytes = products * width * columns * sizeof(float);
    return bytes <= choice.most_bytes ? plan : Plan{};
}

Minimal::Minimal(const Kernels& kernels, const Plan& plan, int width, int columns, const Values& values,
                 const std::function<float(int)>& bias)
    : kernels_(kernels),
      plan_(plan),
      points_(plan.outputs + plan.taps - 1),
      width_(width),
      columns_(columns),
      bias_(columns + 16) {
    const Transforms made_of = transforms(plan.outputs, plan.taps);
    into_ = flat(made_of.into);
    for (float v : into_) from_.push_back(-v);
    out_of_ = flat(made_of.out_of);
    // All products of a panel stand one behind the other, so that the weights of the next one are fetched in time.
    const int most = kernels.lanes * kernels.max_vectors, products = points_ * parts();
    std::vector<ColumnRange> ranges;
    for (int first = 0; first < columns; first += most) {
        const int count = std::min(most, columns - first);
        panels_.push_back({first, count});
        for (int i = 0; i < products; i++) ranges.push_back({products * first + i * count, count, 0});
    }
    Pages<float> made(size_t(products) * width * std::min(most, columns));  // of all products of a panel
    int ready = -1;                                                         // which
    matrix_ = std::make_unique<Matrix>(
        kernels, width, ranges,
        [&](int row, int first, int count, float* out) {
            const int panel = first / (products * most);
            if (panel != ready) transform(values, made_of.weights, panels_[ready = panel], made.data());
            const int product = (first - products * panels_[panel].first) / count;
            std::copy_n(made.data() + (size_t(product) * width + row) * count, count, out);
        },
        [](int) { return 0.0f; });
    std::fill_n(bias_.data(), bias_.size(), 0.0f);
    for (int j = 0; j < columns; j++) bias_.data()[j] = bias(j);
}

void Minimal::transform(const Values& values, const std::vector<std::vector<double>>& factors, const Columns& panel,
                        float* out) const {
    const int taps = plan_.taps, halves = plan_.halves(), count = panel.count;
    std::vector<float> given(size_t(taps) * halves * count);
    std::vector<double> made(size_t(halves) * count);
    for (int row = 0; row < width_; row++) {
        for (int k = 0; k < taps * halves; k++)
            values(k * width_ + row, panel.first, count, given.data() + k * count);
        for (int i = 0; i < points_; i++) {
            for (int h = 0; h < halves; h++) {
                const float* from = given.data() + h * taps * count;
                double* to = made.data() + h * count;
                switch (taps) {
                    case 2: combine<2>(factors[i].data(), from, count, to); break;
                    case 3: combine<3>(factors[i].data(), from, count, to); break;
                    default: combine<4>(factors[i].data(), from, count, to);
                }
            }
            float* to = out + (size_t(i) * parts() * width_ + row) * count;
            const double *first = made.data(), *second = first + count;
            for (int j = 0; j < count; j++) to[j] = float(plan_.halved ? first[j] + second[j] : first[j]);
            for (int h = 0; plan_.halved && h < halves; h++)
                for (int j = 0; j < count; j++) to[(h + 1) * width_ * count + j] = float(-made[h * count + j]);
        }
    }
}

void Minimal::run(const float* x, ptrdiff_t row, int dilation, size_t position, size_t rows,
                  const Matrix::Output& output, int threads) const {
    const size_t block = this->block(dilation), reach = size_t(plan_.taps * plan_.halves() - 1) * dilation;
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
        thread_local Floats room;
        const size_t input_values = (block + reach) * row, output_values = block * columns_;
        float* inputs = room.room(input_values + 2 * output_values);
        float *outputs = inputs + input_values, *added = outputs + output_values;
        std::fill_n(inputs, input_values, 0.0f);
        std::copy_n(x + done * row, (part + reach - 1) * row + width_, inputs + offset * row);
        Matrix::Output whole{outputs, columns_, nullptr, columns_, output.function};
        if (output.add) {
            std::fill_n(added, output_values, 0.0f);
            std::copy_n(rest.add, values, added + offset * columns_);
            whole.add = added;
        }
        apply({inputs, row, dilation, dilation}, whole, threads);
        std::copy_n(outputs + offset * columns_, values, rest.out);
        done += part;
    }
}

void Minimal::mix_inputs(const Tiles& tiles, float* out, int threads) const {
    const ptrdiff_t plane = ptrdiff_t(tiles.count) * width_, part = points_ * plane;
    const ptrdiff_t half = plan_.outputs * tiles.dilation * tiles.row;
    auto mix = [&](const std::vector<float>& matrix, const float* x, float* y, const float* add) {
        kernels_.mix({matrix.data(), points_, points_, x, tiles.dilation * tiles.row, y, plane, width_, nullptr, add, plane,
                      {}});
    };
    parallel(threads, [&](int i) {
        for (int tile = tiles.count * i / threads; tile < tiles.count * (i + 1) / threads; tile++) {
            const float* x = tiles.x + first_row(tile, tiles.dilation) * tiles.row;
            float* y = out + tile * ptrdiff_t(width_);
            if (!plan_.halved) {
                mix(into_, x, y, nullptr);
                continue;
            }
            mix(into_, x + half, y, nullptr);
            mix(from_, x, y + part, y);
            mix(from_, x + 2 * half, y + 2 * part, y);
        }
    });
}

void Minimal::apply(const Tiles& tiles, const Matrix::Output& output, int threads) const {
    thread_local Floats room;
    const ptrdiff_t count = tiles.count, all = count * width_;
    float* inputs = room.room(parts() * points_ * all);
    mix_inputs(tiles, inputs, threads);
    // One panel of all points and then its outputs, so that the products stay in the cache.
    auto run = [&](int panel, ptrdiff_t first, ptrdiff_t last) {
        thread_local Floats scratch;
        const int column = panels_[panel].first, width = panels_[panel].count;
        const ptrdiff_t plane = (last - first) * width, half = points_ * plane;
        float *products = scratch.room((plan_.halves() * points_ + 1) * plane), *middle = products + plan_.halves() * half;
        for (int p = 0; p < points_; p++) {
            auto product = [&](int part, float* out, const float* add) {
                const Segment rows{inputs + (part * points_ + p) * all + first * width_, width_, width_};
                matrix_->apply_panel((panel * points_ + p) * parts() + part, rows, int(last - first),
                                     {out, width, add, width});
            };
            product(0, plan_.halved ? middle : products + p * plane, nullptr);
            for (int h = 0; plan_.halved && h < 2; h++) product(h + 1, products + h * half + p * plane, middle);
        }
        for (ptrdiff_t i = first; i < last; i++) {
            const ptrdiff_t row = first_row(i, tiles.dilation);
            const ptrdiff_t next = first_row(std::min(i + tiles_ahead, last - 1), tiles.dilation) - row;
            for (int h = 0; h < plan_.halves(); h++) {
                const ptrdiff_t at = row + h * plan_.outputs * tiles.dilation;
                kernels_.mix({out_of_.data(), plan_.outputs, points_, products + h * half + (i - first) * width, plane,
                              output.out + at * output.stride + column, tiles.dilation * output.stride, width,
                              bias_.data() + column, output.add ? output.add + at * output.add_stride + column : nullptr,
                              tiles.dilation * output.add_stride, output.function.from(column), next * output.stride,
                              next * output.add_stride});
            }
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
