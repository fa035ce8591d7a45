/// A value of a pickle, as far as state dictionaries have them.
indirect enum PickleValue: Sendable {
    case none, mark
    case bool(Bool)
    case integer(Int)
    case number(Double)
    case string(String)
    case bytes([UInt8])
    /// Elements, and how deep tuples nest in it.
    case tuple([PickleValue], depth: Int)
    /// A list or dictionary: an object that is filled after it was made, so its content lies in the reader's table.
    case list(Int)
    case dictionary(Int)
    case global(String)
    /// A persistent id: what the file says about a storage.
    case persistent(PickleValue)
    case tensor(TorchTensor)
}

/// A tensor of a `.pt` file: a view of a storage.
struct TorchTensor: Sendable {
    let storage: TorchStorage
    let offset: Int
    let shape: [Int]
    let strides: [Int]
}

/// A storage of a `.pt` file, by the name of its entry.
struct TorchStorage: Sendable {
    let key: String
    let dtype: TorchType
    let count: Int
}

/// Reads pickles (protocol 2, as PyTorch writes them) without running anything: an opcode or a name that state dictionaries do not need
/// ends the reading. Nothing is imported, nothing is called; the few functions that are allowed are done here.
struct PickleReader {
    struct Failure: Error { let reason: String }

    private let bytes: UnsafeRawBufferPointer
    private var position = 0
    private var stack: [PickleValue] = []
    private var memo: [Int: PickleValue] = [:]
    /// Contents of lists and dictionaries.
    private(set) var lists: [[PickleValue]] = []
    private(set) var dictionaries: [[(PickleValue, PickleValue)]] = []
    private var steps = 0

    /// More than a file of this size could want.
    private static let mostObjects = 4_000_000

    init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    /// Where the pickle ended.
    var end: Int { position }

    private mutating func take(_ count: Int) throws -> UnsafeRawBufferPointer {
        guard count >= 0, count <= bytes.count - position else { throw Failure(reason: "the pickle is cut off") }
        defer { position += count }
        return UnsafeRawBufferPointer(rebasing: bytes[position..<(position + count)])
    }

    private mutating func integer<T: FixedWidthInteger>(_ type: T.Type) throws -> T {
        T(littleEndian: try take(MemoryLayout<T>.size).loadUnaligned(as: T.self))
    }

    private mutating func line() throws -> String {
        let start = position
        while position < bytes.count, bytes[position] != 10 { position += 1 }
        guard position < bytes.count, let text = String(validating: bytes[start..<position], as: UTF8.self) else {
            throw Failure(reason: "the pickle is cut off")
        }
        position += 1
        return text
    }

    private mutating func text(_ count: Int) throws -> PickleValue {
        guard let text = String(validating: try take(count), as: UTF8.self) else {
            throw Failure(reason: "a string that is not UTF-8")
        }
        return .string(text)
    }

    private mutating func pop() throws -> PickleValue {
        guard let value = stack.popLast() else { throw Failure(reason: "the pickle takes more than it has") }
        if case .mark = value { throw Failure(reason: "the pickle takes more than it has") }
        return value
    }

    private mutating func popToMark() throws -> [PickleValue] {
        guard let mark = stack.lastIndex(where: { if case .mark = $0 { true } else { false } }) else {
            throw Failure(reason: "the pickle has no mark")
        }
        let values = Array(stack[(mark + 1)...])
        stack.removeLast(stack.count - mark)
        return values
    }

    private mutating func memoize(_ key: Int) throws {
        guard let top = stack.last else { throw Failure(reason: "the pickle keeps nothing") }
        // Numbers of keys go up one at a time; the table cannot be made large by a large key.
        memo[key] = top
    }

    private func remembered(_ key: Int) throws -> PickleValue {
        guard let value = memo[key] else { throw Failure(reason: "the pickle recalls what it never kept") }
        return value
    }

    private mutating func newList(_ values: [PickleValue] = []) -> PickleValue {
        lists.append(values)
        return .list(lists.count - 1)
    }

    private mutating func newDictionary() -> PickleValue {
        dictionaries.append([])
        return .dictionary(dictionaries.count - 1)
    }

    /// The value of the pickle that starts here.
    mutating func read() throws -> PickleValue {
        stack = []
        memo = [:]
        while true {
            steps += 1
            // Every step takes a byte, so this bounds what is on the stack; tuples that hold tuples that hold … are values, not copies.
            if stack.count > Self.mostObjects { throw Failure(reason: "the pickle makes too many objects") }
            let opcode = try take(1)[0]
            switch opcode {
            case 0x80:  // PROTO
                let version = try take(1)[0]
                if version > 5 { throw Failure(reason: "a pickle of protocol \(version)") }
            case 0x95: _ = try take(8)  // FRAME
            case UInt8(ascii: "."):
                let value = try pop()
                if !stack.isEmpty { throw Failure(reason: "the pickle leaves values behind") }
                return value
            case UInt8(ascii: "("): stack.append(.mark)
            case UInt8(ascii: "0"): _ = try pop()
            case UInt8(ascii: "N"): stack.append(.none)
            case 0x88: stack.append(.bool(true))
            case 0x89: stack.append(.bool(false))
            case UInt8(ascii: "J"): stack.append(.integer(Int(try integer(Int32.self))))
            case UInt8(ascii: "K"): stack.append(.integer(Int(try integer(UInt8.self))))
            case UInt8(ascii: "M"): stack.append(.integer(Int(try integer(UInt16.self))))
            case 0x8A:  // LONG1
                let length = Int(try integer(UInt8.self))
                stack.append(.integer(try long(length)))
            case UInt8(ascii: "G"):
                stack.append(.number(Double(bitPattern: UInt64(bigEndian: try take(8).loadUnaligned(as: UInt64.self)))))
            case UInt8(ascii: "X"): let length = Int(try integer(UInt32.self)); stack.append(try text(length))
            case 0x8C: let length = Int(try integer(UInt8.self)); stack.append(try text(length))
            case UInt8(ascii: "U"): let length = Int(try integer(UInt8.self)); stack.append(try text(length))
            case UInt8(ascii: "T"): let length = Int(try integer(Int32.self)); stack.append(try text(length))
            case UInt8(ascii: "B"): let length = Int(try integer(UInt32.self)); stack.append(.bytes(Array(try take(length))))
            case UInt8(ascii: "C"): let length = Int(try integer(UInt8.self)); stack.append(.bytes(Array(try take(length))))
            case UInt8(ascii: "}"): stack.append(newDictionary())
            case UInt8(ascii: "]"): stack.append(newList())
            case UInt8(ascii: ")"): stack.append(.tuple([], depth: 1))
            case UInt8(ascii: "t"): stack.append(try tuple(try popToMark()))
            case 0x85, 0x86, 0x87:
                var values: [PickleValue] = []
                for _ in 0..<(Int(opcode) - 0x84) { values.append(try pop()) }
                stack.append(try tuple(values.reversed()))
            case UInt8(ascii: "l"): let values = try popToMark(); stack.append(newList(values))
            case UInt8(ascii: "a"):
                let value = try pop()
                try append([value])
            case UInt8(ascii: "e"): try append(try popToMark())
            case UInt8(ascii: "s"):
                let value = try pop(), key = try pop()
                try set([(key, value)])
            case UInt8(ascii: "u"):
                let values = try popToMark()
                guard values.count % 2 == 0 else { throw Failure(reason: "the pickle sets a key without a value") }
                try set(stride(from: 0, to: values.count, by: 2).map { (values[$0], values[$0 + 1]) })
            case UInt8(ascii: "q"): try memoize(Int(try integer(UInt8.self)))
            case UInt8(ascii: "r"): try memoize(Int(try integer(UInt32.self)))
            case 0x94: try memoize(memo.count)
            case UInt8(ascii: "h"): stack.append(try remembered(Int(try integer(UInt8.self))))
            case UInt8(ascii: "j"): stack.append(try remembered(Int(try integer(UInt32.self))))
            case UInt8(ascii: "c"):
                let module = try line(), name = try line()
                stack.append(try TorchGlobals.named(module, name))
            case 0x93:
                guard case .string(let name) = try pop(), case .string(let module) = try pop() else {
                    throw Failure(reason: "the pickle names a global by no name")
                }
                stack.append(try TorchGlobals.named(module, name))
            case UInt8(ascii: "Q"):
                let id = try pop()
                if case .persistent = id { throw Failure(reason: "the pickle has an id of an id") }
                stack.append(.persistent(id))
            case UInt8(ascii: "R"), 0x81:  // REDUCE, NEWOBJ
                let arguments = try pop(), callee = try pop()
                guard case .global(let name) = callee, case .tuple(let arguments, _) = arguments else {
                    throw Failure(reason: "the pickle calls what is no function")
                }
                if name == "collections.OrderedDict" {
                    guard arguments.isEmpty else { throw Failure(reason: "an OrderedDict made of a list") }
                    stack.append(newDictionary())
                } else {
                    stack.append(try TorchGlobals.call(name, arguments))
                }
            case UInt8(ascii: "b"):  // BUILD: attributes of an OrderedDict (`_metadata`) say nothing about the weights.
                _ = try pop()
                guard case .dictionary? = stack.last else { throw Failure(reason: "the pickle sets attributes of an object") }
            default: throw Failure(reason: "the pickle has the opcode \(opcode), which state dictionaries do not need")
            }
        }
    }

    /// Releasing a tuple is recursive: deep ones are refused.
    private func tuple(_ values: [PickleValue]) throws -> PickleValue {
        let depth = values.reduce(0) { deepest, value in
            switch value {
            case .tuple(_, let depth): max(deepest, depth)
            case .persistent(.tuple(_, let depth)): max(deepest, depth)
            default: deepest
            }
        }
        if depth >= 8 { throw Failure(reason: "the pickle nests tuples too deeply") }
        return .tuple(values, depth: depth + 1)
    }

    private mutating func long(_ length: Int) throws -> Int {
        let bytes = try take(length)
        if length == 0 { return 0 }
        if length > 8 { throw Failure(reason: "a number of \(length) bytes") }
        var value: UInt64 = bytes[length - 1] > 0x7F ? .max : 0
        for byte in bytes.reversed() { value = value << 8 | UInt64(byte) }
        return Int(Int64(bitPattern: value))
    }

    private mutating func append(_ values: [PickleValue]) throws {
        guard case .list(let list)? = stack.last else { throw Failure(reason: "the pickle adds to what is no list") }
        lists[list] += values
    }

    private mutating func set(_ pairs: [(PickleValue, PickleValue)]) throws {
        guard case .dictionary(let dictionary)? = stack.last else {
            throw Failure(reason: "the pickle sets a key of no dictionary")
        }
        dictionaries[dictionary] += pairs
    }
}
