// Splitting the outputs of one computation over cores.
#pragma once

#include <algorithm>
#include <climits>
#include <type_traits>

namespace wavcodes {

void run_tasks(int count, int threads, void (*task)(void*, int), void* data);

// Threads that work side by side and help one another: what one of them splits up, those that have nothing to do share.
class Crew {
   public:
    virtual void share(int count, void (*task)(void*, int), void* data) = 0;

   protected:
    ~Crew() = default;
};

// That which this thread belongs to, or null.
extern thread_local Crew* crew;

// Calls task(0) ... task(count - 1), each once, on up to `threads` threads: those of this thread's crew, or else of the
// pool. Tasks must write to separate outputs. This thread takes part: it waits only for tasks that others have begun, and
// so not for a core that is busy with something else. If nobody helps, the tasks run here one after the other: the results
// are the same.
template <class Task>
void parallel(int count, Task&& task, int threads = INT_MAX) {
    if (count == 1 || threads == 1) {
        for (int i = 0; i < count; i++) task(i);
        return;
    }
    using Plain = std::remove_reference_t<Task>;
    run_tasks(
        count, threads, [](void* data, int i) { (*static_cast<Plain*>(data))(i); }, &task);
}

// Shares out a product: its rows, in whole tiles of `tile`, or its panels where rows are few.
// Calls run(first row, last row, first panel, last panel).
template <class Run>
void share_out(int rows, int tile, int panels, int threads, Run&& run) {
    if (rows >= 2 * tile * threads) {
        const int share = (rows + threads * tile - 1) / (threads * tile) * tile;
        parallel(threads, [&](int i) {
            const int first = std::min(rows, i * share), last = std::min(rows, (i + 1) * share);
            if (first < last) run(first, last, 0, panels);
        });
    } else {
        const int parts = std::min(threads, panels);
        parallel(parts, [&](int i) { run(0, rows, panels * i / parts, panels * (i + 1) / parts); });
    }
}

}  // namespace wavcodes
