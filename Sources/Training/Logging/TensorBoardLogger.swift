import Foundation

/// Scalars for TensorBoard: `train/loss`, `train/learning_rate`, `train/gradient_norm`, and `validation/` with each metric.
///
/// Each run, also one that is resumed, has a file of its own in the folder, as TensorBoard expects.
public final class TensorBoardLogger: TrainingCallback {
    private let folder: String
    private let every: Int
    private var writer: EventFileWriter?
    /// What went wrong first: logging stops, training goes on.
    public private(set) var error: (any Error)?

    /// - Parameter every: steps between scalars of training.
    public init(_ folder: String, every: Int = 1) {
        self.folder = folder
        self.every = max(every, 1)
    }

    /// Writes steps and validations.
    public func handle(_ event: TrainingEvent, _ control: TrainingControl) {
        do {
            switch event {
            case .began: writer = try EventFileWriter(folder)
            case .step(let report) where report.step % every == 0:
                try writer?.add(
                    [
                        "train/loss": report.loss, "train/learning_rate": report.learningRate,
                        "train/gradient_norm": report.gradientNorm,
                    ],
                    step: report.step)
            case .validation(let step, _, let metrics, _):
                try writer?.add(Dictionary(uniqueKeysWithValues: metrics.map { ("validation/\($0.key)", $0.value) }), step: step)
            case .ended: writer = nil
            default: break
            }
        } catch {
            if self.error == nil { self.error = error }
            writer = nil
        }
    }
}

/// Writes TensorBoard's event files: records of TFRecord (length and data, each with a masked CRC-32C) that hold `tensorflow.Event` messages.
public final class EventFileWriter {
    /// The file.
    public let path: String
    private let file: AppendedFile

    /// Starts a file in the folder, which is made if it is not there. Throws ``LogError``.
    public init(_ folder: String) throws {
        do { try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true) } catch {
            throw LogError(path: folder, reason: "cannot make the folder")
        }
        let time = Date().timeIntervalSince1970
        path =
            folder + String(format: "/events.out.tfevents.%010ld.", Int(time)) + ProcessInfo.processInfo.hostName
            + ".\(getpid()).\(UInt32.random(in: 0...UInt32.max))"
        file = try AppendedFile(path)
        var event = Protobuf()
        event.add(1, double: time)
        event.add(3, bytes: Array("brain.Event:2".utf8))
        try file.append(Self.record(event.bytes))
    }

    /// Adds scalars of a step.
    public func add(_ values: [String: Double], step: Int, time: Date = Date()) throws {
        var summary = Protobuf()
        for (tag, value) in values.sorted(by: { $0.key < $1.key }) {
            var scalar = Protobuf()
            scalar.add(1, bytes: Array(tag.utf8))
            scalar.add(2, float: Float(value))
            summary.add(1, bytes: scalar.bytes)
        }
        var event = Protobuf()
        event.add(1, double: time.timeIntervalSince1970)
        event.add(2, integer: step)
        event.add(5, bytes: summary.bytes)
        try file.append(Self.record(event.bytes))
    }

    /// A record of TFRecord.
    static func record(_ data: [UInt8]) -> [UInt8] {
        let length = withUnsafeBytes(of: UInt64(data.count).littleEndian) { Array($0) }
        return length + masked(length) + data + masked(data)
    }

    private static func masked(_ bytes: [UInt8]) -> [UInt8] {
        let crc = crc32c(bytes)
        return withUnsafeBytes(of: ((crc >> 15 | crc << 17) &+ 0xA282_EAD8).littleEndian) { Array($0) }
    }

    private static let table: [UInt32] = (0..<256).map { byte in
        (0..<8).reduce(UInt32(byte)) { value, _ in value & 1 == 1 ? value >> 1 ^ 0x82F6_3B78 : value >> 1 }
    }

    /// CRC-32C (Castagnoli).
    static func crc32c(_ bytes: [UInt8]) -> UInt32 {
        ~bytes.reduce(~UInt32(0)) { $0 >> 8 ^ table[Int(UInt8(truncatingIfNeeded: $0) ^ $1)] }
    }
}

/// The few kinds of fields of protocol buffers that events have.
struct Protobuf {
    private(set) var bytes: [UInt8] = []

    private mutating func varint(_ value: UInt64) {
        var value = value
        while value >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: value) | 0x80)
            value >>= 7
        }
        bytes.append(UInt8(value))
    }
    mutating func add(_ field: UInt64, integer: Int) {
        varint(field << 3)
        varint(UInt64(bitPattern: Int64(integer)))
    }
    mutating func add(_ field: UInt64, double: Double) {
        varint(field << 3 | 1)
        withUnsafeBytes(of: double.bitPattern.littleEndian) { bytes += $0 }
    }
    mutating func add(_ field: UInt64, bytes content: [UInt8]) {
        varint(field << 3 | 2)
        varint(UInt64(content.count))
        bytes += content
    }
    mutating func add(_ field: UInt64, float: Float) {
        varint(field << 3 | 5)
        withUnsafeBytes(of: float.bitPattern.littleEndian) { bytes += $0 }
    }
}
