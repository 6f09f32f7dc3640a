// Stacked LSTM. The products with the input are one matrix product for a whole batch of steps; the products with the
// hidden state go on from there in the same sum, step by step.
#include "layers.h"

namespace wavcodes {
namespace {

constexpr size_t steps_per_batch = 384;  // the weights of the input are read once for all of them

struct LstmState : State {
    std::vector<Floats> hidden, cell, next;  // one of each per layer
    Floats gates;
    bool backwards = false;
};

Floats zeros(size_t n) {
    Floats f(n);
    std::fill_n(f.data(), n, 0.0f);
    return f;
}

}  // namespace

// The gates stand block by block: [block][gate][unit of the block].
Lstm::Lstm(const Kernels& kernels, int channels, const std::vector<Weights>& layers)
    : Layer(channels, channels),
      kernels_(kernels),
      width_(2 * kernels.lanes),
      blocks_((channels + width_ - 1) / width_) {
    const int columns = blocks_ * 4 * width_;
    // Row of PyTorch's weights that a column stands for, or -1 for a unit that only fills up the last block.
    auto source = [&](int column) {
        const int unit = column / (4 * width_) * width_ + column % width_, gate = column / width_ % 4;
        return unit < channels ? gate * channels + unit : -1;
    };
    for (const Weights& w : layers) {
        input_.push_back(std::make_unique<Matrix>(
            kernels, channels, std::vector<ColumnRange>{{0, columns, 0}},
            [&](int i, int column) {
                const int row = source(column);
                return row < 0 ? 0.0f : w.input.data[size_t(row) * channels + i];
            },
            [&](int column) {
                const int row = source(column);
                return row < 0 ? 0.0f : w.input_bias.data[row] + w.hidden_bias.data[row] + 0.0f;
            }));
        Floats hidden(size_t(columns) * channels);
        for (int block = 0; block < blocks_; block++)
            for (int i = 0; i < channels; i++)
                for (int j = 0; j < 4 * width_; j++) {
                    const int row = source(block * 4 * width_ + j);
                    hidden.data()[(size_t(block) * channels + i) * 4 * width_ + j] =
                        row < 0 ? 0.0f : w.hidden.data[size_t(row) * channels + i];
                }
        hidden_.push_back(std::move(hidden));
    }
    batch = limit = steps_per_batch;
}

std::unique_ptr<State> Lstm::start(Rows&) const {
    auto state = std::make_unique<LstmState>();
    for (size_t i = 0; i < hidden_.size(); i++) {
        state->hidden.push_back(zeros(blocks_ * width_));
        state->cell.push_back(zeros(blocks_ * width_));
        state->next.push_back(zeros(blocks_ * width_));
    }
    return state;
}

void Lstm::run(State& s, Rows& in, Rows& out, size_t steps, int threads) const {
    auto& state = static_cast<LstmState&>(s);
    const ptrdiff_t columns = ptrdiff_t(blocks_) * 4 * width_;
    float* gates = state.gates.room(columns * steps);
    float* y = out.append(steps);
    const float* x = in.row(0);
    for (size_t layer = 0; layer < hidden_.size(); layer++) {
        const Segment rows{layer ? y : x, in_channels, in_channels};
        input_[layer]->apply({&rows, 1}, 0, int(steps), {gates, columns}, threads);
        for (size_t t = 0; t < steps; t++) {
            Floats &hidden = state.hidden[layer], &next = state.next[layer];
            kernels_.lstm_step({gates + t * columns, hidden_[layer].data(), hidden.data(), in_channels,
                                state.cell[layer].data(), next.data(), blocks_, state.backwards});
            std::swap(hidden, next);
            state.backwards = !state.backwards;
            std::memcpy(y + t * in_channels, hidden.data(), in_channels * sizeof(float));
        }
    }
    for (size_t i = 0; i < steps * in_channels; i++) y[i] += x[i];
    in.drop(steps);
}

}  // namespace wavcodes
