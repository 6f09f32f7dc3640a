// Splitting the outputs of one computation over cores.
#pragma once

#include <algorithm>
#include <climits>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <type_traits>
#include <vector>

namespace wavcodes {

// Threads that help one another: what one of them splits up, those that have nothing to do share.
class Crew {
   public:
    using Task = void (*)(void* data, int i);
    // Calls task(data, 0) ... task(data, count - 1), each once, on up to `threads` threads, of which the caller is one.
    void share(int count, int threads, Task task, void* data);

   protected:
    // What a thread splits up.
    struct Job {
        const int count;
        const Task task;
        void* const data;
        int places;  // for those who may still come to help
        int begun = 0, ended = 0;
        std::exception_ptr failure = nullptr;
    };
    ~Crew() = default;
    // So many may have something to do soon. The lock is held.
    virtual void call(int) {}
    // Takes part in a job that has a place left, until none of its tasks is; false if there is no such job.
    bool help(std::unique_lock<std::mutex>& lock);

    std::mutex mutex_;
    std::condition_variable changed_;  // there is something to do, perhaps

   private:
    void take_part(Job& job, std::unique_lock<std::mutex>& lock);

    std::vector<Job*> jobs_;  // of which some tasks have not begun
    std::condition_variable ended_;
};

// That which this thread belongs to: while it belongs to none, the pool, whose other members sleep until they are needed.
extern thread_local Crew* crew;
Crew& the_crew();

// Calls task(0) ... task(count - 1), each once, on up to `threads` threads of this thread's crew. Tasks must write to
// separate outputs. This thread takes part: it waits only for tasks that others have begun, and so not for a core that is
// busy with something else. If nobody helps, the tasks run here one after the other: the results are the same.
template <class Task>
void parallel(int count, Task&& task, int threads = INT_MAX) {
    if (count == 1 || threads == 1) {
        for (int i = 0; i < count; i++) task(i);
        return;
    }
    using Plain = std::remove_reference_t<Task>;
    the_crew().share(
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
