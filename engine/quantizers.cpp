#include "quantizers.h"

#include <cmath>
#include <numeric>

#include "threads.h"

namespace wavcodes {
namespace {

constexpr int block_rows = 96;  // rows at a time: the books are read once for all of them

// In float64 and in order, so that it is the same on every machine.
double squared_norm(const float* x, int n) {
    double sum = 0;
    for (int i = 0; i < n; i++) sum += double(x[i]) * x[i];
    return sum;
}

std::unique_ptr<Matrix> matrix(const Kernels& kernels, int inputs, int outputs, const float* weight, const float* bias) {
    return std::make_unique<Matrix>(Matrix::dense(kernels, inputs, outputs, weight, bias));
}

void apply(const Matrix& matrix, int inputs, const float* x, size_t rows, float* y) {
    const Segment segment{x, inputs, inputs};
    matrix.apply({&segment, 1}, 0, int(rows), {y, matrix.columns()}, 1);
}

// The mean of every `stride` rows.
void pool(const float* x, int rows, int dim, int stride, float* y) {
    const float share = 1.0f / float(stride);
    for (int t = 0; t < rows / stride; t++, x += stride * dim, y += dim)
        for (int i = 0; i < dim; i++) {
            float sum = 0;
            for (int s = 0; s < stride; s++) sum += x[s * dim + i];
            y[i] = sum * share;
        }
}

}  // namespace

Group& Quantizer::group() {
    if (groups_.empty()) groups_.push_back({dim_, nullptr, nullptr, {}});
    return groups_.back();
}

void Quantizer::add_group(int width, const float* in_weight, const float* out_weight) {
    groups_.push_back({width, matrix(kernels_, dim_, width, in_weight, nullptr),
                       matrix(kernels_, width, dim_, out_weight, nullptr), {}});
}

void Quantizer::add_euclidean(const float* codebook) {
    const int dim = group().dim;
    Book book{1, nullptr, nullptr, nullptr, {}};
    // |x - e|^2 is least where x e - |e|^2 / 2 is greatest.
    std::vector<float> halves(size_);
    for (int j = 0; j < size_; j++) halves[j] = float(-0.5 * squared_norm(codebook + size_t(j) * dim, dim));
    book.scores = matrix(kernels_, dim, size_, codebook, halves.data());
    group().books.push_back(std::move(book));
}

void Quantizer::add_cosine(int stride, int width, const float* in_weight, const float* in_bias, const float* out_weight,
                           const float* out_bias, const float* codebook) {
    const int dim = group().dim;
    Book book{stride, matrix(kernels_, dim, width, in_weight, in_bias), nullptr,
              matrix(kernels_, width, dim, out_weight, out_bias), Pages<float>(size_t(size_) * width)};
    // The length of x does not change which angle is the smallest, so only the entries are normalised.
    std::vector<float> normal(size_t(size_) * width);
    for (int j = 0; j < size_; j++) {
        const float* entry = codebook + size_t(j) * width;
        const float inverse = float(1 / std::max(std::sqrt(squared_norm(entry, width)), 1e-12));
        for (int i = 0; i < width; i++) normal[size_t(j) * width + i] = entry[i] * inverse;
    }
    book.scores = matrix(kernels_, width, size_, normal.data(), nullptr);
    std::copy_n(codebook, size_t(size_) * width, book.entries.data());
    group().books.push_back(std::move(book));
}

int Quantizer::num_codebooks() const {
    size_t count = 0;
    for (const Group& g : groups_) count += g.books.size();
    return int(count);
}

template <class Visit>
void Quantizer::each_book(int num_codebooks, Visit visit) const {
    for (const Group& g : groups_)
        for (const Book& book : g.books)
            if (num_codebooks-- > 0) visit(g, book);
}

int Quantizer::cycle(int num_codebooks) const {
    int cycle = 1;
    each_book(num_codebooks, [&](const Group&, const Book& book) { cycle = std::lcm(cycle, book.stride); });
    return cycle;
}

template <class Run>
void Quantizer::each_block(size_t rows, int num_codebooks, int threads, Run run) const {
    const size_t cycles = size_t(cycle(num_codebooks)), block = (block_rows + cycles - 1) / cycles * cycles;
    parallel(
        int((rows + block - 1) / block),
        [&](int b) {
            const size_t first = b * block;
            run(first, int(std::min(block, rows - first)));
        },
        threads);
}

size_t Quantizer::num_codes(size_t rows, int num_codebooks) const {
    size_t codes = 0;
    each_book(num_codebooks, [&](const Group&, const Book& book) { codes += rows / book.stride; });
    return codes;
}

const float* Quantizer::entries(const Group& g, const Book& book, const int32_t* codes, size_t count) const {
    thread_local Floats found, projected;
    const int width = book.out ? book.in->columns() : g.dim;
    float* rows = found.room(count * width);
    for (size_t t = 0; t < count; t++) {
        if (book.out)
            std::copy_n(book.entries.data() + size_t(codes[t]) * width, width, rows + t * width);
        else
            book.scores->column(codes[t], rows + t * width);
    }
    if (!book.out) return rows;
    float* added = projected.room(count * g.dim);
    apply(*book.out, width, rows, count, added);
    return added;
}

// Codes of `rows` rows from row `first` of `all_rows` on.
void Quantizer::encode_block(const float* latent, size_t first, int rows, size_t all_rows, int num_codebooks,
                             int32_t* codes) const {
    thread_local Floats residuals, means, projections, all_scores;
    float* scores = all_scores.room(size_t(rows) * size_);
    float* residual = nullptr;
    const Group* current = nullptr;
    each_book(num_codebooks, [&](const Group& g, const Book& book) {
        const int dim = g.dim, count = rows / book.stride;
        if (current != &g) {
            current = &g;
            residual = residuals.room(size_t(rows) * dim);
            if (g.in)
                apply(*g.in, dim_, latent, rows, residual);
            else
                std::copy_n(latent, size_t(rows) * dim, residual);
        }
        const float* searched = residual;
        if (book.stride > 1) {
            float* mean = means.room(size_t(rows) * dim);
            pool(residual, rows, dim, book.stride, mean);
            searched = mean;
        }
        int width = dim;
        if (book.in) {
            width = book.in->columns();
            float* projected = projections.room(size_t(rows) * width);
            apply(*book.in, dim, searched, count, projected);
            searched = projected;
        }
        apply(*book.scores, width, searched, count, scores);
        int32_t* chosen = codes + first / book.stride;
        for (int t = 0; t < count; t++) chosen[t] = kernels_.argmax(scores + size_t(t) * size_, size_);
        const float* entry = entries(g, book, chosen, count);
        for (int t = 0; t < rows; t++)
            for (int i = 0; i < dim; i++) residual[size_t(t) * dim + i] -= entry[size_t(t / book.stride) * dim + i];
        codes += all_rows / book.stride;
    });
}

void Quantizer::encode(const float* latent, size_t rows, int num_codebooks, int32_t* codes, int threads) const {
    each_block(rows, num_codebooks, threads, [&](size_t first, int count) {
        encode_block(latent + first * dim_, first, count, rows, num_codebooks, codes);
    });
}

// Rows of the codes of `rows` rows from row `first` of `all_rows` on.
void Quantizer::decode_block(const int32_t* codes, size_t first, int rows, size_t all_rows, int num_codebooks,
                             float* latent) const {
    thread_local Floats sums, parts;
    std::fill_n(latent, size_t(rows) * dim_, 0.0f);
    size_t done = 0;
    for (const Group& g : groups_) {
        const size_t books = std::min(g.books.size(), size_t(num_codebooks) - done);
        if (books == 0) break;
        done += books;
        float* sum = latent;
        if (g.out) {
            sum = sums.room(size_t(rows) * g.dim);
            std::fill_n(sum, size_t(rows) * g.dim, 0.0f);
        }
        for (size_t k = 0; k < books; k++) {
            const Book& book = g.books[k];
            const float* entry = entries(g, book, codes + first / book.stride, rows / book.stride);
            for (int t = 0; t < rows; t++)
                for (int i = 0; i < g.dim; i++) sum[size_t(t) * g.dim + i] += entry[size_t(t / book.stride) * g.dim + i];
            codes += all_rows / book.stride;
        }
        if (g.out) {
            float* part = parts.room(size_t(rows) * dim_);
            apply(*g.out, g.dim, sum, rows, part);
            for (size_t i = 0; i < size_t(rows) * dim_; i++) latent[i] += part[i];
        }
    }
}

void Quantizer::decode(const int32_t* codes, size_t rows, int num_codebooks, float* latent, int threads) const {
    each_block(rows, num_codebooks, threads, [&](size_t first, int count) {
        decode_block(codes, first, count, rows, num_codebooks, latent + first * dim_);
    });
}

}  // namespace wavcodes
