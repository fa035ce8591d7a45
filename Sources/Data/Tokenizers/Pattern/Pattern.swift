/// A regular expression over UTF-8, matched scalar by scalar by backtracking with a bound on the steps: a pattern that would take
/// exponential time throws.
struct Pattern: Sendable {
    private let program: PatternProgram

    init(_ text: String) throws { program = try PatternProgram(PatternParser.parse(text)) }

    /// The text itself.
    init(literal text: String) throws {
        program = try PatternProgram(.sequence(text.unicodeScalars.map { .set(.range($0.value, $0.value)) }))
    }

    /// The matches from left to right, without overlap; empty ones are left out.
    func forEachMatch(_ text: UnsafeRawBufferPointer, _ body: (Range<Int>) throws -> Void) throws {
        var matcher = PatternMatcher(program, text)
        var position = 0
        while position < text.count {
            if program.first.allows(text[position]), let end = try matcher.match(at: position), end > position {
                try body(position..<end)
                position = end
            } else {
                position += UTF8Scalar.length(text[position])
            }
        }
    }
}

/// One text being searched.
private struct PatternMatcher {
    /// What to try when the rest fails.
    private enum Choice {
        case at(Int, Int)
        /// The next branches of an alternative.
        case branch(Int, from: Int, Int)
        /// A greedy loop that can give back what it took after `low`.
        case shorter(next: Int, low: Int, Int)
        /// A lazy loop that can take one more.
        case longer(loop: Int, left: Int, Int)
    }

    private let program: PatternProgram
    private let text: UnsafeRawBufferPointer
    private var choices: [Choice] = []
    private var steps: Int

    init(_ program: PatternProgram, _ text: UnsafeRawBufferPointer) {
        self.program = program
        self.text = text
        // Ordinary patterns take a few dozen steps a byte.
        steps = 1_000_000 + text.count * 500
    }

    mutating func match(at start: Int) throws -> Int? {
        choices.removeAll(keepingCapacity: true)
        return try run(0, start, depth: 0)
    }

    private mutating func run(_ first: Int, _ start: Int, depth: Int) throws -> Int? {
        let base = choices.count
        var pc = first, position = start
        let count = text.count
        while true {
            steps -= 1
            if steps < 0 { throw TokenizerError("the pattern takes too many steps on this text") }
            var failed = false
            switch program.instructions[pc] {
            case .byte(let byte):
                if position < count && text[position] == byte {
                    position += 1
                    pc += 1
                } else {
                    failed = true
                }
            case .set(let set):
                if let next = one(set, position) {
                    position = next
                    pc += 1
                } else {
                    failed = true
                }
            case .loop(let set, let min, let max, let kind):
                if let end = try loop(set, min, max, kind, pc, position) {
                    position = end
                    pc += 1
                } else {
                    failed = true
                }
            case .split(let now, let later):
                choices.append(.at(later, position))
                pc = now
            case .branch(let number):
                if let next = branch(number, from: 0, position) { pc = next } else { failed = true }
            case .jump(let target): pc = target
            case .assertion(let assertion):
                if holds(assertion, position) { pc += 1 } else { failed = true }
            case .look(let end, let ahead, let negated, let length):
                let found = try look(pc + 1, ahead, length, position, depth)
                if found != negated { pc = end } else { failed = true }
            case .atomic(let end):
                let mark = choices.count
                if let next = try run(pc + 1, position, depth: depth + 1) {
                    choices.removeLast(choices.count - mark)
                    position = next
                    pc = end
                } else {
                    failed = true
                }
            case .accept: return position
            }
            if !failed { continue }
            guard let next = backtrack(to: base) else { return nil }
            (pc, position) = next
        }
    }

    /// The next of the choices noted since `base`.
    private mutating func backtrack(to base: Int) -> (pc: Int, position: Int)? {
        while choices.count > base {
            switch choices.removeLast() {
            case .at(let next, let place): return (next, place)
            case .branch(let number, let from, let place):
                // There is one: it was looked for when the choice was noted.
                return (branch(number, from: from, place)!, place)
            case .shorter(let next, let low, let place):
                let position = UTF8Scalar.before(text, place)
                if position > low { choices.append(.shorter(next: next, low: low, position)) }
                return (next, position)
            case .longer(let loop, let left, let place):
                guard case .loop(let set, _, _, _) = program.instructions[loop], let next = one(set, place) else { continue }
                if left > 1 { choices.append(.longer(loop: loop, left: left - 1, next)) }
                return (loop + 1, next)
            }
        }
        return nil
    }

    @inline(__always) private func one(_ set: Int, _ position: Int) -> Int? {
        guard position < text.count else { return nil }
        let (value, length) = UTF8Scalar.at(text, position)
        return program.contains(set, value) ? position + length : nil
    }

    @inline(__always)
    private mutating func loop(
        _ set: Int, _ min: Int, _ max: Int, _ kind: PatternNode.Repetition, _ pc: Int, _ start: Int
    ) throws -> Int? {
        var position = start, taken = 0, low = start
        let limit = kind == .lazy ? min : max
        while taken < limit && position < text.count {
            let (value, length) = UTF8Scalar.at(text, position)
            if !program.contains(set, value) { break }
            position += length
            taken += 1
            if taken == min { low = position }
        }
        if taken < min { return nil }
        steps -= taken
        switch kind {
        case .greedy: if position > low { choices.append(.shorter(next: pc + 1, low: low, position)) }
        case .lazy: if max > min { choices.append(.longer(loop: pc, left: max == .max ? .max : max - min, position)) }
        case .possessive: break
        }
        return position
    }

    /// The first branch from one on that can start here; notes the next.
    @inline(__always) private mutating func branch(_ number: Int, from: Int, _ position: Int) -> Int? {
        let list = program.branches[number]
        var found: Int?
        for i in from..<list.count {
            let allowed = position < text.count ? list[i].first.allows(text[position]) : list[i].first.allowsEnd
            if !allowed { continue }
            if let found {
                choices.append(.branch(number, from: i, position))
                return found
            }
            found = list[i].start
        }
        return found
    }

    private func holds(_ assertion: PatternAssertion, _ position: Int) -> Bool {
        switch assertion {
        case .textStart: return position == 0
        case .textEnd: return position == text.count
        case .lineStart: return position == 0 || text[position - 1] == 10
        case .lineEnd: return position == text.count || text[position] == 10
        case .wordBoundary, .noWordBoundary:
            let before = position > 0 && ScalarClass.word.contains(UTF8Scalar.at(text, UTF8Scalar.before(text, position)).value)
            let after = position < text.count && ScalarClass.word.contains(UTF8Scalar.at(text, position).value)
            return (before != after) == (assertion == .wordBoundary)
        }
    }

    private mutating func look(_ pc: Int, _ ahead: Bool, _ length: ClosedRange<Int>, _ position: Int, _ depth: Int) throws -> Bool
    {
        let mark = choices.count
        defer { choices.removeLast(choices.count - mark) }
        if ahead { return try run(pc, position, depth: depth + 1) != nil }
        var start = position
        for scalars in 0...length.upperBound {
            if scalars >= length.lowerBound, try run(pc, start, depth: depth + 1) == position { return true }
            choices.removeLast(choices.count - mark)
            if start == 0 { return false }
            start = UTF8Scalar.before(text, start)
        }
        return false
    }
}
