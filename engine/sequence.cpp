// Running layers one after the other, depth first: a piece of signal goes as far as it can while it is in the cache.
#include <stdexcept>
#include <thread>
#include <utility>

#include "layers.h"
#include "threads.h"

namespace wavcodes {

void Sequence::add(std::unique_ptr<Layer> layer) {
    if (frozen_) throw std::logic_error("this sequence has streams; it cannot grow any more");
    if (together_ != any_number) {
        // A layer that needs more than those rows for what it makes of them shifts their ends.
        const size_t out = together_ * layer->up % layer->down ? 0 : together_ * layer->up / layer->down;
        together_ = out && layer->needed(out) == together_ ? out : 1;
    }
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
        for (size_t* row : {&origin.first_row, &origin.rows}) *row = *row * layer->up / layer->down;
        state.queues.emplace_back(layer->out_channels);
    }
    return state;
}

void Sequence::restart(State& state, size_t first, size_t last) const {
    state.queues[last].clear();
    for (size_t i = first; i < last; i++) {
        state.queues[i].clear();
        layers_[i]->restart(state.layers[i], state.queues[i]);
    }
}

void Sequence::append(State& state, const float* rows, size_t count) const {
    if (count == 0) return;
    float* in = state.queues.front().append(count);
    if (first_.none())
        std::memcpy(in, rows, count * in_channels * sizeof(float));
    else
        kernels.activate(rows, in, count, in_channels, first_.function());
}

void Sequence::move(State& state, Rows& rows, size_t count) const {
    if (first_.none()) {
        rows.move(count, state.queues.front());
    } else {
        append(state, rows.row(0), count);
        rows.drop(count);
    }
}

// One advance: which layer runs next, and on which thread.
//
// A thread takes the layer furthest down that has a piece to run, and so a piece goes through many layers while it is in
// the cache of one core. Meanwhile other threads run other layers, but never the neighbours of a layer that is running:
// so nobody else touches the two queues of a layer while it runs. A thread that finds no layer helps another with its own.
class Sequence::Run final : public Crew {
   public:
    // Of layers `first` ... `last - 1`.
    Run(const Sequence& sequence, State& state, size_t first, size_t last, int threads,
        const std::function<void()>& between, size_t most)
        : layers_(sequence.layers_), state_(state), between_(between), threads_(threads), first_(first), last_(last),
          most_(most) {}

    // Runs pieces until nothing is left, on each thread that calls it.
    void work() {
        const Member member(*this);
        std::unique_lock<std::mutex> lock(mutex_);
        for (;;) {
            const size_t i = failed_ ? none : next();
            if (i != none) {
                const Turn turn(*this, i);
                if (waiting_ && next() != none) changed_.notify_one();
                // While a heavy layer runs, somebody may come to help.
                const int threads = layers_[i]->heavy() ? threads_ : 1 + waiting_;
                lock.unlock();
                try {
                    run(i, threads);
                } catch (...) {
                    lock.lock();
                    failed_ = true;
                    changed_.notify_all();
                    throw;
                }
                lock.lock();
            } else if (help(lock)) {
                continue;
            } else if (active_ && !failed_) {
                waiting_++;
                changed_.wait(lock);
                waiting_--;
            } else {
                changed_.notify_all();
                return;
            }
        }
    }

   private:
    static constexpr size_t none = SIZE_MAX;
    // Values that may wait for a layer before those above it pause. It is there for the time that its neighbour takes,
    // which for an LSTM is long.
    static constexpr size_t most_waiting = 1 << 18;

    // Steps for which a layer waits, and the most that it takes. A heavy one takes so long that other threads might wait
    // for it: where there are some, it takes a third.
    size_t batch(const Layer& layer) const {
        if (threads_ == 1 || !layer.heavy()) return layer.batch;
        return std::max(layer.batch / 3 / layer.block, size_t{1}) * layer.block;
    }
    size_t limit(const Layer& layer) const { return threads_ > 1 && layer.heavy() ? batch(layer) : layer.limit; }

    // That a layer is running, while it lives.
    class Turn {
       public:
        Turn(Run& run, size_t i) : run_(run), state_(*run.state_.layers[i]) { state_.running = true, run_.active_++; }
        Turn(const Turn&) = delete;
        ~Turn() { state_.running = false, run_.active_--; }

       private:
        Run& run_;
        wavcodes::State& state_;
    };

    // That a thread belongs to this crew, while it lives.
    class Member {
       public:
        explicit Member(Run& run) : before_(std::exchange(crew, &run)) {}
        Member(const Member&) = delete;
        ~Member() { crew = before_; }

       private:
        Crew* before_;
    };

    size_t ready(size_t i) const { return layers_[i]->ready(*state_.layers[i], state_.queues[i]); }
    bool running(size_t i) const { return i < layers_.size() && state_.layers[i]->running; }
    bool free(size_t i) const { return !running(i - 1) && !running(i) && !running(i + 1); }

    // Whether layer i, which is free, has something to do. `last`: nothing more comes in this push.
    bool pending(size_t i, bool last) const {
        const size_t rows = ready(i);
        if (last) return rows > 0 || state_.queues[i].ended != state_.queues[i + 1].ended;
        return rows > 0 && rows >= batch(*layers_[i]);
    }
    bool full(size_t i) const {
        const Rows& queue = state_.queues[i];
        return i < last_ && queue.size() * queue.channels() > most_waiting && pending(i, false);
    }

    // The layer furthest down that can run now.
    size_t next() {
        if (free(last_) && state_.queues[last_].size() >= most_) return none;
        while (first_ < last_ && free(first_) && !pending(first_, true)) first_++;
        for (size_t i = last_; i-- > first_;)
            if (free(i) && pending(i, i == first_) && !full(i + 1)) return i;
        return none;
    }

    void run(size_t i, int threads) {
        const Layer& layer = *layers_[i];
        wavcodes::State& own = *state_.layers[i];
        Rows &in = state_.queues[i], &out = state_.queues[i + 1];
        if (in.ended && !own.finished) {
            layer.finish(own, in);
            own.finished = true;
        }
        const size_t rows = ready(i);
        if (rows) layer.run(own, in, out, std::min(rows, limit(layer)), threads);
        out.ended = in.ended && ready(i) == 0;
        if (std::this_thread::get_id() == caller_) between_();
    }

    const std::vector<std::unique_ptr<Layer>>& layers_;
    State& state_;
    const std::function<void()>& between_;
    const std::thread::id caller_ = std::this_thread::get_id();
    const int threads_;
    size_t first_;  // those before it have nothing to do any more
    const size_t last_, most_;
    int active_ = 0, waiting_ = 0;
    bool failed_ = false;
};

void Sequence::advance(State& state, size_t first, size_t last, int threads,
                       const std::function<void()>& between, size_t most) const {
    Run run(*this, state, first, last, threads, between, most);
    parallel(threads, [&](int) { run.work(); }, threads);
}

void Sequence::advance(State& state, int threads, const std::function<void()>& between, size_t most) const {
    advance(state, 0, layers_.size(), threads, between, most);
}

// Steps are in rows.
static void copy_rows(const float* from, size_t from_step, float* to, size_t to_step, size_t rows, size_t channels) {
    for (size_t t = 0; t < rows; t++) std::copy_n(from + t * from_step * channels, channels, to + t * to_step * channels);
}

void Sequence::run(std::span<const Signal> signals, int threads, const std::function<void()>& between,
                   const std::function<void(const Rows&)>& give) const {
    size_t longest = 0;
    for (const Signal& signal : signals) longest = std::max(longest, signal.count);
    State state = start({.rows = longest});
    const size_t count = signals.size();
    std::vector<size_t> lengths(count);
    Rows turns(1);  // what comes out of a joint layer
    for (size_t first = 0, last;; first = last + 1) {
        for (last = first; last < layers_.size() && !layers_[last]->joint;) last++;
        Rows &in = state.queues[first], &out = state.queues[last], next(out.channels());
        for (size_t i = 0; i < count; i++) {
            restart(state, first, last);
            if (first == 0)
                append(state, signals[i].rows, signals[i].count);
            else
                copy_rows(turns.row(i), count, in.append(lengths[i]), 1, lengths[i], in.channels());
            in.ended = true;
            advance(state, first, last, threads, between, SIZE_MAX);
            if (last == layers_.size()) {
                give(out);
                continue;
            }
            lengths[i] = out.size();
            // Signals that end before another one go on with zeros.
            if (lengths[i] * count > next.size()) next.append_zeros(lengths[i] * count - next.size());
            copy_rows(out.row(0), 1, next.row(i), count, lengths[i], out.channels());
        }
        if (last == layers_.size()) return;
        const Layer& layer = *layers_[last];
        turns = Rows(layer.out_channels);
        const auto own = layer.start(next, {.signals = count});
        for (; next.size(); between()) layer.run(*own, next, turns, std::min(next.size(), std::max(layer.limit, count)), threads);
    }
}

}  // namespace wavcodes
