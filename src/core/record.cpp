#include "core/record.hpp"

#include <cstring>

namespace ledger {

namespace {

enum : std::uint8_t { kVersion = 1 };
enum class Field : std::uint8_t { null = 0, integer = 1, time = 2, text = 3, bytes = 4 };
enum class Tag : std::uint8_t { transfer = 1, audit = 2, seal = 3, digest = 4 };

void put_big_endian(std::uint8_t *to, std::uint64_t value, int bytes) {
    for (int i = 0; i < bytes; ++i) to[i] = static_cast<std::uint8_t>(value >> (8 * (bytes - 1 - i)));
}

std::uint64_t get_big_endian(const std::uint8_t *from, int bytes) {
    std::uint64_t value = 0;
    for (int i = 0; i < bytes; ++i) value = value << 8 | from[i];
    return value;
}

// Gathers short fields, so that what takes them is called once for most records.
class Writer {
  public:
    // Zeroing the buffer for each record would cost as much as filling it.
    // cppcheck-suppress uninitMemberVar
    Writer(TakeBytes take, void *context) : take_(take), context_(context) {}
    Writer(const Writer &) = delete;
    Writer &operator=(const Writer &) = delete;

    // Bytes before the record.
    Writer &raw(const Hash &hash) {
        std::memcpy(buffer_ + size_, hash.data(), hash.size());
        size_ += hash.size();
        return *this;
    }
    Writer &begin(Tag tag) {
        buffer_[size_++] = kVersion;
        buffer_[size_++] = static_cast<std::uint8_t>(tag);
        return *this;
    }
    template <typename Integer>
    Writer &integer(Integer value) {
        return fixed(Field::integer, static_cast<std::int64_t>(value));
    }
    Writer &time(std::int64_t microseconds) { return fixed(Field::time, microseconds); }
    Writer &bytes(const Hash &hash) {
        return sized(Field::bytes, {reinterpret_cast<const char *>(hash.data()), hash.size()});
    }
    Writer &text(const Text &value) {
        if (value) return sized(Field::text, *value);
        make_room(1);
        buffer_[size_++] = static_cast<std::uint8_t>(Field::null);
        return *this;
    }
    Writer &place(const Place &place) { return integer(place.id).integer(place.lane).integer(place.seq); }

    void flush() {
        take_(context_, buffer_, size_);
        size_ = 0;
    }

  private:
    static constexpr std::size_t kRoom = 512;

    void make_room(std::size_t wanted) {
        if (size_ + wanted > kRoom) flush();
    }
    Writer &fixed(Field field, std::int64_t value) {
        make_room(9);
        buffer_[size_] = static_cast<std::uint8_t>(field);
        put_big_endian(buffer_ + size_ + 1, static_cast<std::uint64_t>(value), 8);
        size_ += 9;
        return *this;
    }
    Writer &sized(Field field, std::string_view value) {
        make_room(5);
        buffer_[size_] = static_cast<std::uint8_t>(field);
        put_big_endian(buffer_ + size_ + 1, value.size(), 4);
        size_ += 5;
        if (size_ + value.size() > kRoom) flush();
        if (value.size() > kRoom) {
            take_(context_, value.data(), value.size());
        } else {
            std::memcpy(buffer_ + size_, value.data(), value.size());
            size_ += value.size();
        }
        return *this;
    }

    TakeBytes take_;
    void *context_;
    std::size_t size_ = 0;
    std::uint8_t buffer_[kRoom];
};

void hash_bytes(void *, const void *data, std::size_t size) {
    add_sha256(data, size);
}

void write(Writer &writer, const TransferRecord &r) {
    writer.begin(Tag::transfer)
        .place(r.place)
        .integer(r.kind)
        .integer(r.debit_account)
        .integer(r.credit_account)
        .integer(r.amount)
        .integer(r.ref)
        .integer(r.txid)
        .time(r.created_us)
        .text(r.metadata)
        .flush();
}

void write(Writer &writer, const AuditRecord &r) {
    writer.begin(Tag::audit).place(r.place).integer(r.txid).time(r.at_us).integer(r.relation_oid);
    for (const Text *text : {&r.relation, &r.operation, &r.key, &r.old_row, &r.new_row, &r.actor,
                             &r.acting_as, &r.application, &r.client})
        writer.text(*text);
    writer.flush();
}

template <typename Record>
Hash chained(const Hash &previous, const Record &record) {
    begin_sha256();
    Writer writer(hash_bytes, nullptr);
    write(writer.raw(previous), record);
    return end_sha256();
}

}  // namespace

void encode(const TransferRecord &record, TakeBytes take, void *context) {
    Writer writer(take, context);
    write(writer, record);
}

void encode(const AuditRecord &record, TakeBytes take, void *context) {
    Writer writer(take, context);
    write(writer, record);
}

Hash hash_of(const Hash &previous, const TransferRecord &record) {
    return chained(previous, record);
}

Hash hash_of(const Hash &previous, const AuditRecord &record) {
    return chained(previous, record);
}

Hash hash_of(const SealRecord &r) {
    begin_sha256();
    Writer writer(hash_bytes, nullptr);
    writer.begin(Tag::seal).integer(r.number).time(r.sealed_us);
    for (int scope = 0; scope < kScopes; ++scope) writer.integer(r.counts[scope]).bytes(r.roots[scope]);
    writer.integer(r.from_id).integer(r.until_id).bytes(r.heads).bytes(r.previous).flush();
    return end_sha256();
}

SignedBytes signed_bytes(std::int64_t seal, const Hash &hash) {
    SignedBytes bytes;
    const auto append = [](void *to, const void *data, std::size_t size) { std::memcpy(to, data, size); };
    Writer(append, bytes.data()).begin(Tag::digest).integer(seal).bytes(hash).flush();
    return bytes;
}

void put_head(std::uint8_t *bytes, const LaneHead &of) {
    bytes[0] = static_cast<std::uint8_t>(static_cast<int>(of.scope) + 1);
    put_big_endian(bytes + 1, static_cast<std::uint64_t>(of.lane), 2);
    put_big_endian(bytes + 3, static_cast<std::uint64_t>(of.head.seq), 8);
    std::memcpy(bytes + 11, of.head.hash.data(), of.head.hash.size());
}

LaneHead get_head(const std::uint8_t *bytes) {
    LaneHead of = {};
    of.scope = static_cast<Scope>(bytes[0] - 1);
    of.lane = static_cast<LaneNumber>(get_big_endian(bytes + 1, 2));
    of.head.seq = static_cast<std::int64_t>(get_big_endian(bytes + 3, 8));
    std::memcpy(of.head.hash.data(), bytes + 11, of.head.hash.size());
    return of;
}

}  // namespace ledger
