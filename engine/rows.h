// A queue of rows between two layers: (T, channels), contiguous, appended at the end and dropped at the front.
#pragma once

#include <algorithm>
#include <cstring>
#include <utility>

#include "buffer.h"

namespace wavcodes {

class Rows {
   public:
    explicit Rows(int channels) : channels_(channels) {}

    int channels() const { return channels_; }
    size_t size() const { return end_ - begin_; }
    float* row(size_t i) const { return floats_.data() + (begin_ + i) * channels_; }

    // True once the layer that feeds this queue has given its last row.
    bool ended = false;

    // Room for n rows at the end; the caller fills it.
    float* append(size_t n) {
        // What is kept differs from push to push: with room for twice as much, few pushes have to grow it.
        make_room(n, 2 * (size() + n));
        float* p = row(size());
        end_ += n;
        return p;
    }
    // Makes room for n more rows: those that are appended then are not moved.
    void reserve(size_t n) { make_room(n, size() + n); }
    void append_zeros(size_t n) {
        float* p = append(n);
        std::fill(p, p + n * channels_, 0.0f);
    }
    // n rows in front of the first one; the caller fills them.
    void prepend(size_t n) {
        append(n);
        std::memmove(row(n), row(0), (size() - n) * channels_ * sizeof(float));
    }
    // Moves the first n rows to the end of another queue.
    void move(size_t n, Rows& to) {
        if (n == size() && to.size() == 0) {
            std::swap(floats_, to.floats_);
            std::swap(begin_, to.begin_);
            std::swap(end_, to.end_);
        } else if (n) {
            std::memcpy(to.append(n), row(0), n * channels_ * sizeof(float));
            drop(n);
        }
    }
    void drop(size_t n) {
        begin_ += n;
        if (begin_ == end_) begin_ = end_ = 0;
    }
    void drop_last(size_t n) { end_ -= n; }
    void clear() {
        begin_ = end_ = 0;
        ended = false;
    }

   private:
    // For n more rows; memory of `capacity` rows if what there is does not do.
    void make_room(size_t n, size_t capacity) {
        const size_t rows = floats_.size() / channels_, kept = size();
        if (end_ + n <= rows) return;
        if (kept + n <= rows) {
            std::memmove(floats_.data(), row(0), kept * channels_ * sizeof(float));
        } else {
            Floats larger(capacity * channels_);
            if (kept) std::memcpy(larger.data(), row(0), kept * channels_ * sizeof(float));
            floats_ = std::move(larger);
        }
        begin_ = 0;
        end_ = kept;
    }

    int channels_;
    Floats floats_;
    size_t begin_ = 0, end_ = 0;
};

}  // namespace wavcodes
