/// A pattern as instructions for ``Pattern``.
struct PatternProgram: Sendable {
    enum Instruction: Sendable {
        /// One scalar of a set.
        case set(Int)
        /// An ASCII scalar.
        case byte(UInt8)
        /// As many scalars of a set as there are, or as few.
        case loop(set: Int, min: Int, max: Int, kind: PatternNode.Repetition)
        /// Goes on at the first, and at the second if that fails.
        case split(Int, Int)
        /// Goes on at the first branch that can start here, and at the others if it fails.
        case branch(Int)
        case jump(Int)
        case assertion(PatternAssertion)
        /// The instructions up to `end` must match, or must not, without using up text.
        case look(end: Int, ahead: Bool, negated: Bool, length: ClosedRange<Int>)
        /// The instructions up to `end` match once, whatever follows.
        case atomic(end: Int)
        case accept
    }

    /// Where an alternative starts and the ASCII scalars it can begin with.
    struct Branch: Sendable {
        let start: Int
        let first: FirstSet
    }

    private(set) var instructions: [Instruction] = []
    /// The sets' answers for ASCII: scalar v is bit v % 64 of word v / 64.
    private var masks: [SIMD2<UInt64>] = []
    private(set) var branches: [[Branch]] = []
    /// What a match can begin with.
    let first: FirstSet
    private var classes: [ScalarClass] = []

    init(_ node: PatternNode) throws {
        first = FirstSet(node)
        try add(node)
        instructions.append(.accept)
    }

    private mutating func set(_ set: ScalarClass) -> Int {
        if let known = classes.firstIndex(of: set) { return known }
        classes.append(set)
        masks.append(set.asciiMask)
        return classes.count - 1
    }

    /// Whether a scalar is in a set.
    @inline(__always) func contains(_ set: Int, _ value: UInt32) -> Bool {
        value < 128 ? masks[set][Int(value >> 6)] >> UInt64(value & 63) & 1 != 0 : classes[set].contains(value)
    }

    private mutating func add(_ node: PatternNode) throws {
        // Counted groups are written out.
        if instructions.count > 20_000 { throw TokenizerError("the pattern is too large") }
        switch node {
        case .set(.range(let value, let end)) where value == end && value < 0x80: instructions.append(.byte(UInt8(value)))
        case .set(let set): instructions.append(.set(self.set(set)))
        case .sequence(let nodes): for node in nodes { try add(node) }
        case .alternatives(let nodes):
            let number = branches.count
            branches.append([])
            instructions.append(.branch(number))
            var list: [Branch] = [], jumps: [Int] = []
            for node in nodes {
                list.append(Branch(start: instructions.count, first: FirstSet(node)))
                try add(node)
                jumps.append(instructions.count)
                instructions.append(.jump(0))
            }
            branches[number] = list
            for jump in jumps { instructions[jump] = .jump(instructions.count) }
        case .repeated(.set(let set), let min, let max, let kind):
            instructions.append(.loop(set: self.set(set), min: min, max: max, kind: kind))
        case .repeated(let node, let min, let max, .possessive):
            try add(.atomic(.repeated(node, min: min, max: max, kind: .greedy)))
        case .repeated(let node, let min, let max, let kind):
            for _ in 0..<min { try add(node) }
            if max == .max {
                let start = instructions.count
                instructions.append(.accept)
                try add(node)
                instructions.append(.jump(start))
                let end = instructions.count
                instructions[start] = kind == .greedy ? .split(start + 1, end) : .split(end, start + 1)
            } else {
                var splits: [Int] = []
                for _ in min..<max {
                    splits.append(instructions.count)
                    instructions.append(.accept)
                    try add(node)
                }
                for split in splits {
                    instructions[split] =
                        kind == .greedy ? .split(split + 1, instructions.count) : .split(instructions.count, split + 1)
                }
            }
        case .look(let node, let ahead, let negated):
            let place = instructions.count
            let length = node.length
            if !ahead && (length == nil || length!.upperBound > 255) {
                throw TokenizerError("the pattern looks behind by no fixed length")
            }
            instructions.append(.accept)
            try add(node)
            instructions.append(.accept)
            instructions[place] = .look(end: instructions.count, ahead: ahead, negated: negated, length: length ?? 0...0)
        case .atomic(let node):
            let place = instructions.count
            instructions.append(.accept)
            try add(node)
            instructions.append(.accept)
            instructions[place] = .atomic(end: instructions.count)
        case .assertion(let assertion): instructions.append(.assertion(assertion))
        }
    }
}

extension PatternNode {
    /// Fewest and most scalars of a match; nil if there is no bound.
    fileprivate var length: ClosedRange<Int>? {
        switch self {
        case .set: return 1...1
        case .sequence(let nodes):
            var low = 0, high = 0
            for node in nodes {
                guard let length = node.length else { return nil }
                low += length.lowerBound
                high += length.upperBound
            }
            return low...high
        case .alternatives(let nodes):
            let lengths = nodes.map(\.length)
            if lengths.contains(nil) { return nil }
            return lengths.map { $0!.lowerBound }.min()!...lengths.map { $0!.upperBound }.max()!
        case .repeated(let node, let min, let max, _):
            guard let length = node.length, max != .max else { return nil }
            return (length.lowerBound * min)...(length.upperBound * max)
        case .atomic(let node): return node.length
        case .look, .assertion: return 0...0
        }
    }
}

/// The bytes that a match can begin with.
struct FirstSet: Sendable {
    private var mask = SIMD2<UInt64>()
    private var others = false
    /// Whether the match may be empty: then it begins anywhere.
    private var isNullable = false

    init(_ node: PatternNode) {
        switch node {
        case .set(let set):
            mask = set.asciiMask
            others = true
        case .sequence(let nodes):
            isNullable = true
            for node in nodes where isNullable {
                let first = FirstSet(node)
                add(first)
                isNullable = first.isNullable
            }
        case .alternatives(let nodes):
            for node in nodes {
                let first = FirstSet(node)
                add(first)
                isNullable = isNullable || first.isNullable
            }
        case .repeated(let node, let min, _, _):
            self = FirstSet(node)
            isNullable = isNullable || min == 0
        case .atomic(let node): self = FirstSet(node)
        case .look, .assertion: isNullable = true
        }
    }

    private mutating func add(_ other: FirstSet) {
        mask |= other.mask
        others = others || other.others
    }

    /// Whether a match can begin before this byte.
    @inline(__always) func allows(_ byte: UInt8) -> Bool {
        if isNullable { return true }
        return byte < 128 ? mask[Int(byte >> 6)] >> UInt64(byte & 63) & 1 != 0 : others
    }

    /// Whether a match can begin at the end of the text.
    var allowsEnd: Bool { isNullable }
}
