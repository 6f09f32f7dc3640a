#include "layers.h"

#include <stdexcept>

#include "threads.h"

namespace wavcodes {
namespace {

// Output values that one piece of a layer's work writes: small enough to stay in the second-level cache.
constexpr size_t piece_values = 48 << 10;
// Weights beyond this are worth waiting for many rows: they come from memory, once per batch.
constexpr size_t heavy_bytes = 1 << 20;
constexpr size_t heavy_batch = 288;
constexpr size_t tile_rows = 12;  // multiple of the rows of most register tiles

struct CountState : State {
    size_t rows = 0;  // taken from the input so far
};

}  // namespace

size_t piece_rows(size_t values_per_row) {
    return std::max<size_t>(1, piece_values / values_per_row / tile_rows) * tile_rows;
}

size_t batch_rows(size_t bytes) { return bytes > heavy_bytes ? heavy_batch : 1; }

// ---- Activations -------------------------------------------------------------------------------------------------

Activation::Activation(const std::vector<float>& alpha) : alpha_(alpha) {
    const size_t padded = alpha.size() + 16;  // so that whole vectors can be read from any channel on
    parameters_ = std::make_shared<Floats>(2 * padded);
    float* p = parameters_->data();
    std::fill_n(p, 2 * padded, 0.0f);
    for (size_t i = 0; i < alpha.size(); i++) {
        p[i] = alpha[i];
        p[padded + i] = 1.0f / (alpha[i] + 1e-9f);
    }
    function_ = {Act::snake, 0, p, p + padded};
}

Activation Activation::repeated(int times) const {
    if (alpha_.empty() || times == 1) return *this;
    std::vector<float> all;
    for (int i = 0; i < times; i++) all.insert(all.end(), alpha_.begin(), alpha_.end());
    return Activation(all);
}

void Elementwise::run(State&, Rows& in, Rows& out, size_t steps, int) const {
    kernels_.activate(in.row(0), out.append(steps), steps, in_channels, activation_.function());
    in.drop(steps);
}

// ---- Residual ----------------------------------------------------------------------------------------------------

namespace {
struct ResidualState : State {
    explicit ResidualState(Sequence::State body) : body(std::move(body)) {}
    Sequence::State body;
    std::unique_ptr<State> last;
    size_t fed = 0;  // rows of the input that the body has taken; they wait there for the sum
};
}  // namespace

Residual::Residual(std::unique_ptr<Sequence> body, std::unique_ptr<Conv> last)
    : Layer(body->in_channels, last->out_channels), body_(std::move(body)), last_(std::move(last)) {
    batch = std::max(body_->batch(), last_->batch);
    limit = std::max(batch, piece_rows(in_channels));
}

std::unique_ptr<State> Residual::start(Rows&, Origin origin) const {
    auto state = std::make_unique<ResidualState>(body_->start(origin));
    state->last = last_->start(state->body.queues.back(), origin);
    return state;
}

void Residual::restart(std::unique_ptr<State>& s, Rows&) const {
    auto& state = static_cast<ResidualState&>(*s);
    body_->restart(state.body);
    last_->restart(state.last, state.body.queues.back());
    state.fed = 0;
    state.finished = false;
}

size_t Residual::ready(const State& s, const Rows& in) const {
    const auto& state = static_cast<const ResidualState&>(s);
    return state.finished ? in.size() : in.size() - state.fed;
}

void Residual::run(State& s, Rows& in, Rows& out, size_t steps, int threads) const {
    auto& state = static_cast<ResidualState&>(s);
    Rows &first = state.body.queues.front(), &rest = state.body.queues.back();
    const size_t count = std::min(steps, in.size() - state.fed);
    body_->append(state.body, in.row(state.fed), count);
    state.fed += count;
    first.ended = state.finished && state.fed == in.size();
    body_->advance(state.body, threads);
    if (rest.ended && !state.last->finished) {
        last_->finish(*state.last, rest);
        state.last->finished = true;
    }
    const size_t rows = last_->ready(*state.last, rest);
    if (rows > state.fed || (rows == 0 && count == 0)) throw std::logic_error("the body of a residual layer must keep the length");
    if (rows) last_->run_with(*state.last, rest, out, rows, threads, in.row(0));
    in.drop(rows);
    state.fed -= rows;
}

// ---- Sum ---------------------------------------------------------------------------------------------------------

namespace {
struct SumState : State {
    std::vector<Sequence::State> branches;
    bool gave = false;  // rows, after the end of the input
    bool ended() const {
        return std::all_of(branches.begin(), branches.end(), [](const auto& b) { return b.queues.back().ended; });
    }
    // Rows that all have.
    size_t common() const {
        size_t rows = SIZE_MAX;
        for (const Sequence::State& branch : branches) rows = std::min(rows, branch.queues.back().size());
        return rows;
    }
};
}  // namespace

Sum::Sum(std::vector<std::unique_ptr<Sequence>> branches)
    : Fusing(branches.front()->in_channels, branches.front()->out_channels()),
      kernels_(branches.front()->kernels),
      branches_(std::move(branches)) {
    for (const auto& branch : branches_) batch = std::max(batch, branch->batch());
    limit = std::max(batch, piece_rows(in_channels));
}

std::unique_ptr<State> Sum::start(Rows&, Origin origin) const {
    auto state = std::make_unique<SumState>();
    for (const auto& branch : branches_) state->branches.push_back(branch->start(origin));
    return state;
}

void Sum::restart(std::unique_ptr<State>& s, Rows&) const {
    auto& state = static_cast<SumState&>(*s);
    for (size_t i = 0; i < branches_.size(); i++) branches_[i]->restart(state.branches[i]);
    state.gave = state.finished = false;
}

size_t Sum::needed(size_t rows) const {
    size_t most = rows;
    for (const auto& branch : branches_) most = std::max(most, branch->needed(rows));
    return most;
}

size_t Sum::ready(const State& s, const Rows& in) const {
    const auto& state = static_cast<const SumState&>(s);
    return in.size() + (state.finished && (!state.ended() || state.common()) ? 1 : 0);  // one more step, at the end
}

void Sum::run(State& s, Rows& in, Rows& out, size_t steps, int threads) const {
    auto& state = static_cast<SumState&>(s);
    const size_t count = std::min(steps, in.size());
    const bool end = state.finished && steps > in.size();
    for (size_t i = 0; i < branches_.size(); i++) {
        Sequence::State& branch = state.branches[i];
        if (i + 1 < branches_.size())
            branches_[i]->append(branch, in.row(0), count);
        else
            branches_[i]->move(branch, in, count);
        branch.queues.front().ended = end;
        // At the end some give all of their rows, and those go on in pieces.
        branches_[i]->advance(branch, threads, [] {}, end ? limit : SIZE_MAX);
    }
    const size_t given = state.common();
    state.gave |= end && given;
    // A branch may make rows out of an empty signal, and another none.
    if (end && (state.ended() ? state.gave : given == 0))
        for (const Sequence::State& branch : state.branches)
            if (branch.queues.back().size() != given)
                throw std::logic_error("the branches of a sum must give equally many rows");
    float* y = out.append(given);
    const float* sum = state.branches.front().queues.back().row(0);
    for (size_t i = 1; i < branches_.size(); i++, sum = y)
        kernels_.add(sum, state.branches[i].queues.back().row(0), y, given, out_channels,
                     i + 1 < branches_.size() ? Pointwise{} : activation_.function());
    for (Sequence::State& branch : state.branches) branch.queues.back().drop(given);
}

// ---- The ends of a signal ----------------------------------------------------------------------------------------

std::unique_ptr<State> PadEnd::start(Rows&, Origin) const { return std::make_unique<CountState>(); }

void PadEnd::finish(State& s, Rows& in) const {
    const size_t total = static_cast<CountState&>(s).rows + in.size();
    in.append_zeros((multiple_ - total % multiple_) % multiple_ + extra_);
}

void PadEnd::run(State& s, Rows& in, Rows& out, size_t steps, int) const {
    static_cast<CountState&>(s).rows += steps;
    in.move(steps, out);
}

void TrimEnd::run(State&, Rows& in, Rows& out, size_t steps, int) const {
    in.move(steps, out);
}

std::unique_ptr<State> TrimStart::start(Rows&, Origin) const { return std::make_unique<CountState>(); }

void TrimStart::run(State& s, Rows& in, Rows& out, size_t steps, int) const {
    auto& state = static_cast<CountState&>(s);
    const size_t drop = std::min(steps, rows_ - std::min(rows_, state.rows));
    state.rows += drop;
    in.drop(drop);
    in.move(steps - drop, out);
}

}  // namespace wavcodes
