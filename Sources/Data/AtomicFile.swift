#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Why a file could not be read or written.
public struct FileError: Error, CustomStringConvertible, Equatable {
    /// The file it is about, as it was named.
    public let path: String
    /// What was wrong, with the system's own words where it gave any.
    public let reason: String
    /// "path: reason".
    public var description: String { "\(path): \(reason)" }

    init(_ path: String, _ reason: String) {
        self.path = path
        self.reason = reason
    }

    init(_ path: String, doing action: String, code: Int32 = errno) {
        self.init(path, "cannot \(action): \(String(cString: strerror(code)))")
    }
}

/// A file that appears whole or not at all: written under another name beside the target, forced to disk, then renamed.
public struct AtomicFile: ~Copyable {
    private let path: String
    private let temporary: String
    private var descriptor: Int32

    /// Starts a file beside `path`.
    public init(_ path: String) throws {
        self.path = path
        temporary = "\(path).\(getpid()).\(UInt32.random(in: 0...UInt32.max)).tmp"
        descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o644)
        if descriptor < 0 { throw FileError(path, doing: "write here") }
    }

    /// Adds bytes to the end of the file. Throws ``FileError`` when the system refuses, as on a full disk.
    public mutating func write(_ bytes: UnsafeRawBufferPointer) throws {
        var done = 0
        while done < bytes.count {
            let n = Glibc.write(descriptor, bytes.baseAddress! + done, min(bytes.count - done, 1 << 30))
            if n < 0 {
                if errno == EINTR { continue }
                throw FileError(path, doing: "write")
            }
            done += n
        }
    }

    /// Puts the file in place of the target.
    public mutating func commit() throws {
        if fsync(descriptor) != 0 { throw FileError(path, doing: "write") }
        let result = close(descriptor)
        descriptor = -1
        if result != 0 { throw FileError(path, doing: "write") }
        if rename(temporary, path) != 0 { throw FileError(path, doing: "replace the file") }
        // The rename itself must reach the disk.
        let folder = path.lastIndex(of: "/").map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
        let directory = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        if directory >= 0 {
            fsync(directory)
            close(directory)
        }
    }

    deinit {
        if descriptor >= 0 { close(descriptor) }
        // Gone already if the file was committed.
        unlink(temporary)
    }
}

extension AtomicFile {
    /// Removes what processes that were killed while they wrote have left in a folder: temporary files of this type whose process is gone.
    public static func removeLeftovers(in folder: String) {
        guard let directory = opendir(folder) else { return }
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory) {
            names.append(withUnsafeBytes(of: entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) })
        }
        for name in names {
            // NAME.PROCESS.NUMBER.tmp
            let parts = name.split(separator: ".")
            guard parts.count >= 4, parts.last == "tmp", UInt32(parts[parts.count - 2]) != nil,
                let process = pid_t(parts[parts.count - 3]),
                process > 0, kill(process, 0) != 0, errno == ESRCH
            else { continue }
            unlink("\(folder)/\(name)")
        }
    }
}
