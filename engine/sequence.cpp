// Running layers one after the other, depth first: a piece of signal goes as far as it can while it is in the cache.
#include <stdexcept>

#include "layers.h"

namespace wavcodes {

void Sequence::add(std::unique_ptr<Layer> layer) {
    if (frozen_) throw std::logic_error("this sequence has streams; it cannot grow any more");
    // A layer that needs more than those rows for what it makes of them shifts their ends.
    const size_t out = together_ * layer->up % layer->down ? 0 : together_ * layer->up / layer->down;
    together_ = out && layer->needed(out) == together_ ? out : 1;
    layers_.push_back(std::move(layer));
}

void Sequence::add_activation(const Activation& activation) {
    if (frozen_) throw std::logic_error("this sequence has streams; it cannot grow any more");
    if (layers_.empty() && first_.none()) {
        first_ = activation;
        return;
    }
    if (!layers_.empty() && layers_.back()->fuse(activation)) return;
    add(std::make_unique<Elementwise>(kernels, out_channels(), activation));
}

size_t Sequence::batch() const {
    size_t most = 1;
    for (const auto& layer : layers_) most = std::max(most, layer->batch);
    return most;
}

size_t Sequence::needed(size_t rows) const {
    for (auto layer = layers_.rbegin(); layer != layers_.rend(); ++layer) rows = (*layer)->needed(rows);
    return rows;
}

Sequence::State Sequence::start(Origin origin) const {
    State state;
    state.queues.emplace_back(in_channels);
    for (const auto& layer : layers_) {
        state.layers.push_back(layer->start(state.queues.back(), origin));
        origin.first_row = origin.first_row * layer->up / layer->down;
        state.queues.emplace_back(layer->out_channels);
    }
    return state;
}

void Sequence::append(State& state, const float* rows, size_t count) const {
    float* in = state.queues.front().append(count);
    if (first_.none())
        std::memcpy(in, rows, count * in_channels * sizeof(float));
    else
        kernels.activate(rows, in, count, in_channels, first_.function());
}

void Sequence::advance(State& state, int threads) const { advance_from(state, 0, true, threads); }

void Sequence::advance_from(State& state, size_t index, bool drain, int threads) const {
    if (index == layers_.size()) return;
    const Layer& layer = *layers_[index];
    wavcodes::State& own = *state.layers[index];
    Rows &in = state.queues[index], &out = state.queues[index + 1];
    if (in.ended && !own.finished) {
        layer.finish(own, in);
        own.finished = true;
    }
    for (;;) {
        const size_t ready = layer.ready(own, in);
        if (ready == 0 || (ready < layer.batch && !drain && !in.ended)) break;
        layer.run(own, in, out, std::min(ready, layer.limit), threads);
        advance_from(state, index + 1, false, threads);
    }
    out.ended = in.ended;
    if (drain || out.ended) advance_from(state, index + 1, drain, threads);
}

}  // namespace wavcodes
