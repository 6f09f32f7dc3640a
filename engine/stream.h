// Signals that go through a sequence for Python: its arrays, its lock and its signals.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <chrono>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "layers.h"

namespace wavcodes {

namespace nb = nanobind;

template <class T>
using Array = nb::ndarray<const T, nb::c_contig, nb::device::cpu>;
using Input = Array<float>;
using MaybeInput = std::optional<Input>;

template <class T>
nb::ndarray<nb::numpy, T> owned(T* data, std::initializer_list<size_t> shape) {
    nb::capsule owner(data, [](void* p) noexcept { delete[] static_cast<T*>(p); });
    return nb::ndarray<nb::numpy, T>(data, shape, owner);
}

inline void require(bool condition, const char* message) {
    if (!condition) throw nb::value_error(message);
}

// What Python did about a signal raised an error, which this thread of Python has set.
struct Interrupted {};

// Lets other Python threads run. When Python ends, a thread that comes back from here is ended by unwinding its stack,
// which nanobind's own guard turns into an abort of the process; such a thread waits for the end instead.
class WithoutGil {
   public:
    WithoutGil() : state_(PyEval_SaveThread()) {}
    WithoutGil(const WithoutGil&) = delete;
    ~WithoutGil() { take_back(); }

    // Lets Python do what it does about signals, such as that of Ctrl-C; only its main thread does anything.
    void check_signals() {
        take_back();
        const bool raised = PyErr_CheckSignals() != 0;
        state_ = PyEval_SaveThread();
        if (raised) throw Interrupted();
    }

   private:
    void take_back() {
        try {
            PyEval_RestoreThread(state_);
        } catch (...) {
            for (;;) std::this_thread::sleep_for(std::chrono::hours(1));
        }
    }

    PyThreadState* state_;
};

// To be called often: handles signals, but seldom enough for a thread that has to wait for the GIL each time.
inline auto handling_signals(WithoutGil& others_run) {
    using Clock = std::chrono::steady_clock;
    return [&others_run, last = Clock::now()]() mutable {
        if (Clock::now() - last < std::chrono::milliseconds(200)) return;
        others_run.check_signals();
        last = Clock::now();
    };
}

// Rows for Python, which takes them with `owned`.
inline std::unique_ptr<float[]> copied(const Rows& rows) {
    std::unique_ptr<float[]> result(new float[std::max<size_t>(1, rows.size() * rows.channels())]);
    if (rows.size()) std::memcpy(result.get(), rows.row(0), rows.size() * rows.channels() * sizeof(float));
    return result;
}

// A stream that is used in a way that it cannot be.
struct Misuse : std::runtime_error {
    using std::runtime_error::runtime_error;
};

class Stream {
   public:
    Stream(Sequence& sequence, std::optional<uint64_t> seed, size_t first_row)
        : sequence_(sequence), state_(sequence.start({seed, first_row})) {
        sequence.freeze();
    }

    nb::ndarray<nb::numpy, float> push(const Input& rows, int threads) {
        require(rows.ndim() == 2 && int(rows.shape(1)) == sequence_.in_channels, "expected rows (T, channels)");
        require(threads > 0, "expected at least one thread");
        return run(rows.data(), rows.shape(0), false, threads);
    }
    nb::ndarray<nb::numpy, float> flush(int threads) {
        require(threads > 0, "expected at least one thread");
        return run(nullptr, 0, true, threads);
    }

   private:
    nb::ndarray<nb::numpy, float> run(const float* rows, size_t count, bool end, int threads) {
        std::unique_ptr<float[]> result;
        size_t given;
        const size_t channels = sequence_.out_channels();
        try {
            WithoutGil others_run;
            std::unique_lock<std::mutex> lock(mutex_, std::try_to_lock);
            if (!lock) throw Misuse("this stream is in use by another thread; give each thread its own");
            Rows &in = state_.queues.front(), &out = state_.queues.back();
            if (in.ended) throw Misuse("this stream has been flushed; start a new one");
            if (broken_) throw Misuse("this stream has failed before; start a new one");
            broken_ = true;
            if (count) sequence_.append(state_, rows, count);
            in.ended = end;
            sequence_.advance(state_, threads, handling_signals(others_run));
            given = out.size();
            result = copied(out);
            out.drop(given);
            broken_ = false;
        } catch (const Interrupted&) {
            throw nb::python_error();
        }
        return owned(result.release(), {given, channels});
    }

    const Sequence& sequence_;
    Sequence::State state_;
    bool broken_ = false;  // a push did not come to its end
    std::mutex mutex_;
};

// What becomes of each of several whole signals.
inline std::vector<nb::ndarray<nb::numpy, float>> run(Sequence& sequence, const std::vector<Input>& inputs, int threads) {
    require(threads > 0, "expected at least one thread");
    std::vector<Sequence::Signal> signals;
    for (const Input& rows : inputs) {
        require(rows.ndim() == 2 && int(rows.shape(1)) == sequence.in_channels, "expected rows (T, channels)");
        signals.push_back({rows.data(), rows.shape(0)});
    }
    sequence.freeze();
    std::vector<std::unique_ptr<float[]>> results;
    std::vector<size_t> lengths;
    try {
        WithoutGil others_run;
        sequence.run(signals, threads, handling_signals(others_run), [&](const Rows& rows) {
            lengths.push_back(rows.size());
            results.push_back(copied(rows));
        });
    } catch (const Interrupted&) {
        throw nb::python_error();
    }
    std::vector<nb::ndarray<nb::numpy, float>> arrays;
    for (size_t i = 0; i < results.size(); i++)
        arrays.push_back(owned(results[i].release(), {lengths[i], size_t(sequence.out_channels())}));
    return arrays;
}

}  // namespace wavcodes
