/// The entries of a zip file (PKWARE's APPNOTE 6.3), mapped into memory: as much of the format as `.npz` and `.pt` files use, stored and
/// deflated entries with 64-bit sizes. Every size is checked against the file before anything is read.
struct ZipArchive: Sendable {
    struct Failure: Error { let reason: String }

    struct Entry: Sendable {
        let name: String
        /// Bytes of the file.
        let range: Range<Int>
        let isDeflated: Bool
        let size: Int
        let checksum: UInt32
    }

    /// In the order of the directory.
    let entries: [Entry]
    private let file: MappedFile
    /// What an entry may expand to, beside what it is compressed to: no more than deflate can.
    private static let largestRatio = 1032

    init(_ file: MappedFile) throws {
        self.file = file
        var entries: [Entry] = []
        var names = Set<String>()
        var reader = try Self.directory(file.bytes)
        for _ in 0..<reader.count {
            let entry = try reader.entry()
            if entry.name.utf8.last == 0x2F { continue }
            if !names.insert(entry.name).inserted { throw Failure(reason: "the entry \(entry.name) is there twice") }
            entries.append(entry)
        }
        self.entries = entries
        let sorted = entries.map(\.range).filter { !$0.isEmpty }.sorted { $0.lowerBound < $1.lowerBound }
        for (a, b) in zip(sorted, sorted.dropFirst()) where a.upperBound > b.lowerBound {
            throw Failure(reason: "two entries overlap")
        }
    }

    /// An entry's bytes, with their checksum compared. Stored entries are not copied; the bytes live as long as the file or the array.
    func withBytes<Result>(_ entry: Entry, limit: Int = .max, _ body: (UnsafeRawBufferPointer) throws -> Result) throws -> Result
    {
        let source = UnsafeRawBufferPointer(rebasing: file.bytes[entry.range])
        if entry.size > limit { throw Failure(reason: "\(entry.name) has \(entry.size) bytes") }
        if !entry.isDeflated {
            try check(source, entry)
            return try withExtendedLifetime(file) { try body(source) }
        }
        let bytes: [UInt8]
        do { bytes = try Inflate.bytes(source, .raw, limit: entry.size) } catch let error as Inflate.Failure {
            throw Failure(reason: "\(entry.name): \(error.reason)")
        }
        if bytes.count != entry.size { throw Failure(reason: "\(entry.name) has \(bytes.count) bytes, not \(entry.size)") }
        return try bytes.withUnsafeBytes {
            try check($0, entry)
            return try body($0)
        }
    }

    /// The first bytes of an entry, at most `count`, and how many it has, without a look at its checksum.
    func withPrefix<Result>(_ entry: Entry, _ count: Int, _ body: (UnsafeRawBufferPointer, _ total: Int) throws -> Result) throws
        -> Result
    {
        let source = UnsafeRawBufferPointer(rebasing: file.bytes[entry.range])
        if !entry.isDeflated { return try withExtendedLifetime(file) { try body(source, entry.size) } }
        do {
            return try Inflate.bytes(source, .raw, limit: count, isPrefix: true).withUnsafeBytes { try body($0, entry.size) }
        } catch let error
            as Inflate.Failure
        { throw Failure(reason: "\(entry.name): \(error.reason)") }
    }

    /// Whether an entry's bytes are what was written.
    func check(_ bytes: UnsafeRawBufferPointer, _ entry: Entry) throws {
        if Inflate.crc32(bytes) != entry.checksum { throw Failure(reason: "\(entry.name) is damaged: its checksum differs") }
    }

    /// Reads the end of the file, which says where the directory is.
    private static func directory(_ bytes: UnsafeRawBufferPointer) throws -> DirectoryReader {
        func word16(_ i: Int) -> Int { Int(bytes.loadUnaligned(fromByteOffset: i, as: UInt16.self).littleEndian) }
        func word32(_ i: Int) -> Int { Int(bytes.loadUnaligned(fromByteOffset: i, as: UInt32.self).littleEndian) }
        func word64(_ i: Int) -> Int? { Int(exactly: bytes.loadUnaligned(fromByteOffset: i, as: UInt64.self).littleEndian) }
        guard bytes.count >= 22 else { throw Failure(reason: "no zip file") }
        // A comment of up to 65535 bytes may follow the record.
        var end: Int?
        for i in stride(from: bytes.count - 22, through: max(0, bytes.count - 22 - 65535), by: -1)
        where word32(i) == 0x0605_4B50 && i + 22 + word16(i + 20) <= bytes.count {
            end = i
            break
        }
        guard let end else { throw Failure(reason: "no zip file: there is no directory") }
        var count = word16(end + 10), size = word32(end + 12), start = word32(end + 16)
        if word16(end + 4) != 0 && word16(end + 4) != 0xFFFF { throw Failure(reason: "one of several zip files") }
        var limit = end
        if end >= 20, word32(end - 20) == 0x0706_4B50 {
            guard let place = word64(end - 12), place <= end - 20 - 56, word32(place) == 0x0606_4B50,
                let count64 = word64(place + 32),
                let size64 = word64(place + 40), let start64 = word64(place + 48)
            else { throw Failure(reason: "a broken zip64 directory") }
            (count, size, start) = (count64, size64, start64)
            limit = place
        }
        guard start <= limit, size <= limit - start, count <= size / 46 else {
            throw Failure(reason: "the directory lies outside the file")
        }
        return DirectoryReader(bytes: bytes, position: start, end: start + size, count: count)
    }

    private struct DirectoryReader {
        let bytes: UnsafeRawBufferPointer
        var position: Int
        let end: Int
        let count: Int

        private func word16(_ i: Int) -> Int { Int(bytes.loadUnaligned(fromByteOffset: i, as: UInt16.self).littleEndian) }
        private func word32(_ i: Int) -> Int { Int(bytes.loadUnaligned(fromByteOffset: i, as: UInt32.self).littleEndian) }

        mutating func entry() throws -> Entry {
            let broken = Failure(reason: "a broken directory")
            guard end - position >= 46, word32(position) == 0x0201_4B50 else { throw broken }
            let flags = word16(position + 8), method = word16(position + 10)
            let nameLength = word16(position + 28), extraLength = word16(position + 30), commentLength = word16(position + 32)
            guard end - position - 46 >= nameLength + extraLength + commentLength else { throw broken }
            guard let name = String(validating: bytes[(position + 46)..<(position + 46 + nameLength)], as: UTF8.self) else {
                throw Failure(reason: "an entry's name is not UTF-8")
            }
            try Self.check(name)
            if flags & 1 != 0 || flags & 0x40 != 0 { throw Failure(reason: "\(name) is encrypted") }
            guard method == 0 || method == 8 else { throw Failure(reason: "\(name) is compressed by method \(method)") }
            let checksum = UInt32(word32(position + 16))
            var packed = word32(position + 20), size = word32(position + 24), start = word32(position + 42)
            try extra(position + 46 + nameLength, extraLength, &packed, &size, &start)
            position += 46 + nameLength + extraLength + commentLength
            // The data follow a header of their own.
            guard start >= 0, bytes.count - start >= 30, word32(start) == 0x0403_4B50 else {
                throw Failure(reason: "\(name) is not where the directory says")
            }
            let dataStart = start + 30 + word16(start + 26) + word16(start + 28)
            guard dataStart <= bytes.count, packed >= 0, packed <= bytes.count - dataStart else {
                throw Failure(reason: "\(name) reaches beyond the end of the file")
            }
            if method == 0 ? size != packed : size < 0 || size > packed * largestRatio + 64 {
                throw Failure(reason: "\(name) cannot be \(size) bytes made of \(packed)")
            }
            return Entry(
                name: name, range: dataStart..<(dataStart + packed), isDeflated: method == 8, size: size, checksum: checksum)
        }

        /// Sizes beyond 32 bits, in the order in which they are missing.
        private func extra(_ start: Int, _ length: Int, _ packed: inout Int, _ size: inout Int, _ offset: inout Int) throws {
            var position = start
            while start + length - position >= 4 {
                let id = word16(position), count = word16(position + 2)
                position += 4
                guard count <= start + length - position else { throw Failure(reason: "a broken directory") }
                if id == 1 {
                    var place = position
                    func next() throws -> Int {
                        guard place + 8 <= position + count,
                            let value = Int(exactly: bytes.loadUnaligned(fromByteOffset: place, as: UInt64.self).littleEndian)
                        else { throw Failure(reason: "a broken directory") }
                        place += 8
                        return value
                    }
                    if size == 0xFFFF_FFFF { size = try next() }
                    if packed == 0xFFFF_FFFF { packed = try next() }
                    if offset == 0xFFFF_FFFF { offset = try next() }
                }
                position += count
            }
        }

        /// Names that lead out of a folder have no business in a file of tensors.
        private static func check(_ name: String) throws {
            let parts = name.utf8.split(separator: 0x2F, omittingEmptySubsequences: false)
            if name.isEmpty || name.utf8.contains(0) || name.utf8.contains(0x5C) || name.utf8.first == 0x2F
                || parts.contains(where: { $0.elementsEqual("..".utf8) })
            {
                throw Failure(reason: "an entry has the name \(name.debugDescription.prefix(80))")
            }
        }
    }
}

/// Writes a zip file of stored entries, a piece at a time. Sizes and places beyond 32 bits are written as zip64's.
struct ZipWriter: ~Copyable {
    private var file: AtomicFile
    private var position = 0
    private var directory: [UInt8] = []
    private var count = 0

    init(_ path: String) throws { file = try AtomicFile(path) }

    private mutating func write(_ bytes: UnsafeRawBufferPointer) throws {
        try file.write(bytes)
        position += bytes.count
    }

    /// Adds an entry whose content is `pieces`, one after the other.
    mutating func add(_ name: String, _ pieces: [UnsafeRawBufferPointer]) throws {
        let size = pieces.reduce(0) { $0 + $1.count }
        let checksum = pieces.reduce(UInt32(0)) { Inflate.crc32($1, $0) }
        let start = position
        var header = LittleEndianBytes()
        header.add(UInt32(0x0403_4B50))
        Self.common(&header, checksum, size, name, extra: 20)
        header.bytes += name.utf8
        header.add(UInt16(1))
        header.add(UInt16(16))
        header.add(UInt64(size))
        header.add(UInt64(size))
        try header.bytes.withUnsafeBytes { try write($0) }
        for piece in pieces { try write(piece) }
        var entry = LittleEndianBytes()
        entry.add(UInt32(0x0201_4B50))
        entry.add(UInt16(45))
        Self.common(&entry, checksum, size, name, extra: 28)
        entry.bytes += [UInt8](repeating: 0, count: 10)
        entry.add(UInt32.max)
        entry.bytes += name.utf8
        entry.add(UInt16(1))
        entry.add(UInt16(24))
        entry.add(UInt64(size))
        entry.add(UInt64(size))
        entry.add(UInt64(start))
        directory += entry.bytes
        count += 1
    }

    /// The fields that both headers share: version 4.5, no flags, stored, 1 January 1980, sizes in the extra field.
    private static func common(_ header: inout LittleEndianBytes, _ checksum: UInt32, _ size: Int, _ name: String, extra: UInt16)
    {
        for field: UInt16 in [45, 0, 0, 0, 0x21] { header.add(field) }
        header.add(checksum)
        header.add(UInt32.max)
        header.add(UInt32.max)
        header.add(UInt16(name.utf8.count))
        header.add(extra)
    }

    mutating func commit() throws {
        let start = position
        try directory.withUnsafeBytes { try write($0) }
        let size = position - start
        var end = LittleEndianBytes()
        end.add(UInt32(0x0606_4B50))
        end.add(UInt64(44))
        end.add(UInt16(45))
        end.add(UInt16(45))
        end.add(UInt32(0))
        end.add(UInt32(0))
        for value in [count, count, size, start] { end.add(UInt64(value)) }
        end.add(UInt32(0x0706_4B50))
        end.add(UInt32(0))
        end.add(UInt64(start + size))
        end.add(UInt32(1))
        end.add(UInt32(0x0605_4B50))
        end.add(UInt32(0))
        for value in [count, count] { end.add(UInt16(min(value, 0xFFFF))) }
        for value in [size, start] { end.add(UInt32(min(value, 0xFFFF_FFFF))) }
        end.add(UInt16(0))
        try end.bytes.withUnsafeBytes { try write($0) }
        try file.commit()
    }
}

/// Bytes of numbers being put together.
struct LittleEndianBytes {
    var bytes: [UInt8] = []
    mutating func add<T: FixedWidthInteger>(_ value: T) { withUnsafeBytes(of: value.littleEndian) { bytes += $0 } }
}
