// Stacked LSTM. The products with the input are one matrix product for a whole batch of steps; the products with the
// hidden state go on from there in the same sum, step by step.
#include <cmath>

#include "layers.h"

namespace wavcodes {
namespace {

constexpr size_t rows_per_batch = 96;  // the weights of the input are read once for all of them

struct LstmState : State {
    size_t signals;
    std::vector<Floats> hidden, cell, next;  // one of each per layer: [signal][unit]
    Floats gates;
    bool backwards = false;
};

Floats zeros(size_t n) {
    Floats f(n);
    std::fill_n(f.data(), n, 0.0f);
    return f;
}

// The integer nearest to x whose lowest byte is `low`.
int32_t rounded(double x, int32_t low) {
    constexpr double whole = 0x1.8p52;  // a sum with it has no fraction: rounds as nearbyint does, without a call
    const double steps = (x - low) / 256 + whole - whole;
    return int32_t(std::clamp(steps, -8388608.0, 8388607.0)) * 256 + low;
}

}  // namespace

Lstm::Recurrent::Recurrent(const Kernels& kernels, int channels, int columns, const Values& values)
    : scales(columns) {
    const int lanes = kernels.lanes, width = 4 * lanes, bits = kernels.bfloat16 ? 15 : 31;
    if (kernels.bfloat16)
        shorts = Pages<int16_t>(size_t(columns) * channels);
    else
        weights = Pages<int32_t>(size_t(columns) / 4 * 3 * channels);
    std::vector<float> row(width), most(width);
    std::vector<double> units(width);  // integers to one
    int32_t* out = weights.data();
    int16_t* out16 = shorts.data();
    for (int block = 0; block < columns; block += width) {
        std::fill(most.begin(), most.end(), 0.0f);
        for (int i = 0; i < channels; i++) {
            values(i, block, width, row.data());
            for (int column = 0; column < width; column++) most[column] = std::max(most[column], std::fabs(row[column]));
        }
        for (int column = 0; column < width; column++) {
            int exponent;
            std::frexp(most[column], &exponent);
            exponent = std::max(exponent, -90);  // so that the scale is a normal number
            units[column] = std::ldexp(1.0, bits - exponent);
            scales.data()[block + column] = std::ldexp(1.0f, exponent - bits);
        }
        for (int i = 0; i < channels; i++) {
            values(i, block, width, row.data());
            if (kernels.bfloat16) {
                for (int column = 0; column < width; column++)
                    *out16++ = int16_t(std::min(std::nearbyint(row[column] * units[column]), 32767.0));
                continue;
            }
            for (int lane = 0; lane < lanes; lane++) {
                auto scaled = [&](int n) { return row[n * lanes + lane] * units[n * lanes + lane]; };
                const uint32_t fourth = uint32_t(rounded(scaled(3), 0));
                for (int n = 0; n < 3; n++)
                    out[n * lanes + lane] = rounded(scaled(n), int32_t(fourth >> (24 - 8 * n) & 0xff));
            }
            out += 3 * lanes;
        }
    }
}

// Columns stand as [block of units][gate][unit].
Lstm::Lstm(const Kernels& kernels, int channels, const std::vector<Weights>& layers)
    : Layer(channels, channels),
      kernels_(kernels),
      width_(kernels.lanes),
      blocks_((channels + width_ - 1) / width_) {
    const int columns = blocks_ * 4 * width_;
    // Row of PyTorch's weights that a column stands for, or -1 for a unit that only fills up the last block.
    std::vector<int> sources(columns);
    for (int column = 0; column < columns; column++) {
        const int unit = column / (4 * width_) * width_ + column % width_, gate = column / width_ % 4;
        sources[column] = unit < channels ? gate * channels + unit : -1;
    }
    for (const Weights& w : layers) {
        auto values = [&](const float* weight) {
            return [&sources, channels, weight](int i, int column) {
                const int row = sources[column];
                return row < 0 ? 0.0f : weight[size_t(row) * channels + i];
            };
        };
        input_.push_back(std::make_unique<Matrix>(
            kernels, channels, std::vector<ColumnRange>{{0, columns, 0}}, values(w.input.data), [&](int column) {
                const int row = sources[column];
                return row < 0 ? 0.0f : w.input_bias.data[row] + w.hidden_bias.data[row] + 0.0f;
            }));
        hidden_.emplace_back(kernels, channels, columns, values(w.hidden.data));
    }
    batch = limit = rows_per_batch;
    joint = true;
}

std::unique_ptr<State> Lstm::start(Rows&, Origin origin) const {
    auto state = std::make_unique<LstmState>();
    const size_t values = origin.signals * blocks_ * width_;
    state->signals = origin.signals;
    for (size_t i = 0; i < hidden_.size(); i++) {
        state->hidden.push_back(zeros(values));
        state->cell.push_back(zeros(values));
        state->next.push_back(zeros(values));
    }
    return state;
}

void Lstm::run(State& s, Rows& in, Rows& out, size_t steps, int threads) const {
    auto& state = static_cast<LstmState&>(s);
    const ptrdiff_t columns = ptrdiff_t(blocks_) * 4 * width_;
    const size_t signals = state.signals;
    steps -= steps % signals;
    float* gates = state.gates.room(columns * steps);
    float* y = out.append(steps);
    const float* x = in.row(0);
    for (size_t layer = 0; layer < hidden_.size(); layer++) {
        const Segment rows{layer ? y : x, in_channels, in_channels};
        input_[layer]->apply({&rows, 1}, 0, int(steps), {gates, columns}, threads);
        for (size_t t = 0; t < steps; t += signals) {
            Floats &hidden = state.hidden[layer], &next = state.next[layer];
            kernels_.lstm_step({int(signals), gates + t * columns, hidden_[layer].weights.data(),
                                hidden_[layer].shorts.data(), hidden_[layer].scales.data(), hidden.data(), in_channels,
                                blocks_, state.cell[layer].data(), next.data(), state.backwards});
            std::swap(hidden, next);
            state.backwards = !state.backwards;
            for (size_t i = 0; i < signals; i++)
                std::copy_n(hidden.data() + i * blocks_ * width_, in_channels, y + (t + i) * in_channels);
        }
    }
    for (size_t i = 0; i < steps * in_channels; i++) y[i] += x[i];
    in.drop(steps);
}

}  // namespace wavcodes
