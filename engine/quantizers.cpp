#include "quantizers.h"

#include <cmath>

#include "threads.h"

namespace wavcodes {
namespace {

constexpr int block_rows = 96;  // rows searched together: the books are read once for all of them

// In float64 and in order, so that it is the same on every machine.
double squared_norm(const float* x, int n) {
    double sum = 0;
    for (int i = 0; i < n; i++) sum += double(x[i]) * x[i];
    return sum;
}

}  // namespace

void Quantizer::add_euclidean(const float* codebook) {
    Book book;
    // |x - e|^2 is least where x e - |e|^2 / 2 is greatest.
    book.scores = std::make_unique<Matrix>(
        kernels_, dim_, std::vector<ColumnRange>{{0, size_, 0}},
        [&](int i, int j) { return codebook[size_t(j) * dim_ + i]; },
        [&](int j) { return float(-0.5 * squared_norm(codebook + size_t(j) * dim_, dim_)); });
    book.entries = Floats(size_t(size_) * dim_);
    std::copy_n(codebook, size_t(size_) * dim_, book.entries.data());
    books_.push_back(std::move(book));
}

void Quantizer::add_cosine(int width, const float* in_weight, const float* in_bias, const float* out_weight,
                           const float* out_bias, const float* codebook) {
    Book book;
    book.projection = std::make_unique<Matrix>(
        kernels_, dim_, std::vector<ColumnRange>{{0, width, 0}},
        [&](int i, int j) { return in_weight[size_t(j) * dim_ + i]; }, [&](int j) { return in_bias[j]; });
    // The length of x does not change which angle is the smallest, so only the entries are normalised.
    std::vector<float> inverse(size_);
    for (int j = 0; j < size_; j++)
        inverse[j] = float(1 / std::max(std::sqrt(squared_norm(codebook + size_t(j) * width, width)), 1e-12));
    book.scores = std::make_unique<Matrix>(
        kernels_, width, std::vector<ColumnRange>{{0, size_, 0}},
        [&](int i, int j) { return codebook[size_t(j) * width + i] * inverse[j]; }, [](int) { return 0.0f; });
    const Matrix back(
        kernels_, width, {{0, dim_, 0}}, [&](int i, int j) { return out_weight[size_t(j) * width + i]; },
        [&](int j) { return out_bias[j]; });
    book.entries = Floats(size_t(size_) * dim_);
    const Segment rows{codebook, width, width};
    back.apply({&rows, 1}, 0, size_, {book.entries.data(), dim_}, 1);
    books_.push_back(std::move(book));
}

void Quantizer::encode_block(const float* latent, int rows, int num_codebooks, int32_t* codes) const {
    thread_local Floats residuals, projections, all_scores;
    float* residual = residuals.room(size_t(block_rows) * dim_);
    float* scores = all_scores.room(size_t(block_rows) * size_);
    std::copy_n(latent, size_t(rows) * dim_, residual);
    for (int k = 0; k < num_codebooks; k++) {
        const Book& book = books_[k];
        Segment searched{residual, dim_, dim_};
        if (book.projection) {
            const int width = book.projection->columns();
            float* projected = projections.room(size_t(block_rows) * width);
            book.projection->apply({&searched, 1}, 0, rows, {projected, width}, 1);
            searched = {projected, width, width};
        }
        book.scores->apply({&searched, 1}, 0, rows, {scores, size_}, 1);
        for (int t = 0; t < rows; t++) {
            const int code = kernels_.argmax(scores + size_t(t) * size_, size_);
            codes[size_t(t) * num_codebooks + k] = code;
            const float* entry = book.entries.data() + size_t(code) * dim_;
            float* row = residual + size_t(t) * dim_;
            for (int i = 0; i < dim_; i++) row[i] -= entry[i];
        }
    }
}

void Quantizer::encode(const float* latent, size_t rows, int num_codebooks, int32_t* codes, int threads) const {
    const size_t blocks = (rows + block_rows - 1) / block_rows;
    const int parts = int(std::min<size_t>(threads, std::max<size_t>(blocks, 1)));
    parallel(parts, [&](int part) {
        for (size_t b = blocks * part / parts; b < blocks * (part + 1) / parts; b++) {
            const size_t first = b * block_rows;
            encode_block(latent + first * dim_, int(std::min<size_t>(block_rows, rows - first)), num_codebooks,
                         codes + first * num_codebooks);
        }
    });
}

void Quantizer::decode(const int32_t* codes, size_t rows, int num_codebooks, float* latent) const {
    for (size_t t = 0; t < rows; t++) {
        float* row = latent + t * dim_;
        std::fill_n(row, dim_, 0.0f);
        for (int k = 0; k < num_codebooks; k++) {
            const float* entry = books_[k].entries.data() + size_t(codes[t * num_codebooks + k]) * dim_;
            for (int i = 0; i < dim_; i++) row[i] += entry[i];
        }
    }
}

}  // namespace wavcodes
