// Running layers one after the other, depth first: a piece of signal goes as far as it can while it is in the cache.
#include <stdexcept>

#include "layers.h"

namespace wavcodes {

void Sequence::add(std::unique_ptr<Layer> layer) {
    if (frozen_) throw std::logic_error("this sequence has streams; it cannot grow any more");
    layers_.push_back(std::move(layer));
}

void Sequence::add_activation(Act act, float slope) {
    if (frozen_) throw std::logic_error("this sequence has streams; it cannot grow any more");
    if (layers_.empty() && first_act_ == Act::none) {
        first_act_ = act;
        first_slope_ = slope;
        return;
    }
    if (!layers_.empty() && layers_.back()->fuse(act, slope)) return;
    add(std::make_unique<Activation>(kernels, out_channels(), act, slope));
}

size_t Sequence::batch() const {
    size_t most = 1;
    for (const auto& layer : layers_) most = std::max(most, layer->batch);
    return most;
}

Sequence::State Sequence::start() const {
    State state;
    state.queues.emplace_back(in_channels);
    for (const auto& layer : layers_) {
        state.layers.push_back(layer->start(state.queues.back()));
        state.queues.emplace_back(layer->out_channels);
    }
    return state;
}

void Sequence::append(State& state, const float* rows, size_t count) const {
    const size_t values = count * in_channels;
    float* in = state.queues.front().append(count);
    if (first_act_ == Act::none)
        std::memcpy(in, rows, values * sizeof(float));
    else
        kernels.activate(rows, in, values, first_act_, first_slope_);
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
