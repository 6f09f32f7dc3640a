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

class Pool {
   public:
    void run(int count, void (*task)(void*, int), void* data) {
        std::unique_lock<std::mutex> owner(owner_, std::try_to_lock);
        if (!owner) {
            for (int i = 0; i < count; i++) task(data, i);
            return;
        }
        {
            std::lock_guard<std::mutex> lock(mutex_);
            // More threads than cores would only take turns.
            const int useful = std::min(count, cores_);
            try {
                while (int(workers_.size()) < useful - 1) workers_.emplace_back([this] { work(); });
            } catch (const std::system_error&) {
                cores_ = int(workers_.size()) + 1;  // the system gives no more; those there are do the work
            }
            task_ = task;
            data_ = data;
            count_ = count;
            next_.store(0);
            pending_ = count;
            round_++;
        }
        wake_.notify_all();
        help();
        std::unique_lock<std::mutex> lock(mutex_);
        done_.wait(lock, [&] { return pending_ == 0 && active_ == 0; });
        task_ = nullptr;
        if (failure_) std::rethrow_exception(std::exchange(failure_, nullptr));
    }

   private:
    void help() {
        int finished = 0;
        std::exception_ptr failure;
        for (int i; (i = next_.fetch_add(1)) < count_; finished++) {
            try {
                task_(data_, i);
            } catch (...) {  // no memory; the caller of run() gets it
                failure = std::current_exception();
            }
        }
        if (finished) {
            std::lock_guard<std::mutex> lock(mutex_);
            pending_ -= finished;
            if (failure) failure_ = failure;
        }
    }
    void work() {
        unsigned long seen = 0;
        std::unique_lock<std::mutex> lock(mutex_);
        for (;;) {
            wake_.wait(lock, [&] { return round_ != seen; });
            seen = round_;
            if (!task_) continue;
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
    int cores_ = std::max(2, int(std::thread::hardware_concurrency()));
    void (*task_)(void*, int) = nullptr;
    void* data_ = nullptr;
    std::exception_ptr failure_;
    std::atomic<int> next_{0};
    int count_ = 0, pending_ = 0, active_ = 0;
    unsigned long round_ = 0;
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

void run_on_pool(int count, void (*task)(void*, int), void* data) {
    if (count > 0) the_pool().run(count, task, data);
}

}  // namespace wavcodes
