// A queue of rows between two layers: (T, channels), contiguous, appended at the end and dropped at the front.
#pragma once

#include <algorithm>
#include <cstring>

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
        reserve(n);
        float* p = row(size());
        end_ += n;
        return p;
    }
    void append_zeros(size_t n) {
        float* p = append(n);
        std::fill(p, p + n * channels_, 0.0f);
    }
    // n rows in front of the first one; the caller fills them.
    void prepend(size_t n) {
        append(n);
        std::memmove(row(n), row(0), (size() - n) * channels_ * sizeof(float));
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
    void reserve(size_t n) {
        const size_t capacity = floats_.size() / channels_;
        if (end_ + n <= capacity) return;
        const size_t kept = size();
        if (kept + n <= capacity) {
            std::memmove(floats_.data(), row(0), kept * channels_ * sizeof(float));
        } else {
            // What is kept differs from push to push: with room for twice as much, few pushes have to grow it.
            Floats larger(2 * (kept + n) * channels_);
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
