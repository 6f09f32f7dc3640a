#include "threads.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#ifndef _WIN32
#include <pthread.h>
#endif

namespace wavcodes {
namespace {

// This thread is at a task of the pool.
thread_local bool at_work = false;

class Pool {
   public:
    void run(int count, int threads, void (*task)(void*, int), void* data) {
        std::unique_lock<std::mutex> owner(owner_, std::defer_lock);
        if (at_work || !owner.try_lock()) {
            for (int i = 0; i < count; i++) task(data, i);
            return;
        }
        int useful;
        {
            std::lock_guard<std::mutex> lock(mutex_);
            // More threads than cores would only take turns.
            useful = std::min({count, threads, cores_});
            try {
                while (int(workers_.size()) < useful - 1) workers_.emplace_back([this] { work(); });
            } catch (const std::system_error&) {
                useful = int(workers_.size()) + 1;  // the system gives no more now; those there are do the work
            }
            task_ = task;
            data_ = data;
            count_ = count;
            next_.store(0);
            pending_ = count;
            wanted_ = useful - 1;
        }
        for (int i = 1; i < useful; i++) wake_.notify_one();
        help();
        std::unique_lock<std::mutex> lock(mutex_);
        done_.wait(lock, [&] { return pending_ == 0 && active_ == 0; });
        wanted_ = 0;
        if (failure_) std::rethrow_exception(std::exchange(failure_, nullptr));
    }

   private:
    void help() {
        int finished = 0;
        std::exception_ptr failure;
        at_work = true;
        for (int i; (i = next_.fetch_add(1)) < count_; finished++) {
            try {
                task_(data_, i);
            } catch (...) {  // no memory; the caller of run() gets it
                failure = std::current_exception();
            }
        }
        at_work = false;
        if (finished) {
            std::lock_guard<std::mutex> lock(mutex_);
            pending_ -= finished;
            if (failure) failure_ = failure;
        }
    }
    void work() {
        std::unique_lock<std::mutex> lock(mutex_);
        for (;;) {
            wake_.wait(lock, [&] { return wanted_ > 0; });
            wanted_--;
            active_++;
            lock.unlock();
            help();
            lock.lock();
            active_--;
            done_.notify_one();
        }
    }

    std::mutex owner_, mutex_;
    std::condition_variable wake_, done_;
    std::vector<std::thread> workers_;
    const int cores_ = std::max(2, int(std::thread::hardware_concurrency()));
    void (*task_)(void*, int) = nullptr;
    void* data_ = nullptr;
    std::exception_ptr failure_;
    std::atomic<int> next_{0};
    int count_ = 0, pending_ = 0;
    int wanted_ = 0;  // workers that may still begin
    int active_ = 0;  // workers that have begun
};

// Never destroyed: its threads sleep until the process ends. A forked child starts with a pool of its own, for the
// threads of its parent do not exist there.
Pool* pool = nullptr;

Pool& the_pool() {
    static std::once_flag once;
    std::call_once(once, [] {
        pool = new Pool;
#ifndef _WIN32
        pthread_atfork(nullptr, nullptr, [] { pool = new Pool; });
#endif
    });
    return *pool;
}

}  // namespace

thread_local Crew* crew = nullptr;

void run_tasks(int count, int threads, void (*task)(void*, int), void* data) {
    if (count <= 0) return;
    if (crew)
        crew->share(count, task, data);
    else
        the_pool().run(count, threads, task, data);
}

}  // namespace wavcodes
