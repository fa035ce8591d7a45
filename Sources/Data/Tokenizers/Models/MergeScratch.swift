/// The symbols of a word while pairs of them are merged, lowest rank first, of equal ranks the leftmost.
///
/// A short word is searched from end to end for each merge; a long one keeps its pairs in a heap, so that n symbols cost
/// n log n steps whatever they are.
struct MergeScratch {
    private struct Symbol {
        var id: Int32
        var previous: Int32
        var next: Int32
    }

    private struct Candidate: Comparable {
        let rank: UInt64
        let position: Int32
        let left: Int32, right: Int32

        @inline(__always) static func < (a: Candidate, b: Candidate) -> Bool {
            a.rank != b.rank ? a.rank < b.rank : a.position < b.position
        }
    }

    /// The word: set before and read after ``merge(_:)``.
    var ids: [Int32] = []
    private var pairs: [UInt64] = []
    private var symbols: [Symbol] = []
    private var heap = BinaryHeap<Candidate>()

    /// Merges ``ids`` as far as the table goes.
    mutating func merge(_ table: PairTable) {
        if ids.count < 2 { return }
        if ids.count > 48 {
            mergeLong(table)
        } else {
            mergeShort(table)
        }
    }

    private mutating func mergeShort(_ table: PairTable) {
        pairs.removeAll(keepingCapacity: true)
        for i in 0..<(ids.count - 1) { pairs.append(table.value(ids[i], ids[i + 1])) }
        var count = ids.count
        ids.withUnsafeMutableBufferPointer { ids in
            pairs.withUnsafeMutableBufferPointer { pairs in
                while count > 1 {
                    var best = PairTable.none, place = 0
                    for i in 0..<(count - 1) where pairs[i] < best {
                        best = pairs[i]
                        place = i
                    }
                    // Equal ranks mean equal pairs, so the merged token in the lower half decides nothing.
                    if best == PairTable.none { return }
                    ids[place] = Int32(truncatingIfNeeded: best)
                    count -= 1
                    for i in (place + 1)..<max(count, place + 1) { ids[i] = ids[i + 1] }
                    for i in (place + 1)..<max(count - 1, place + 1) { pairs[i] = pairs[i + 1] }
                    if place > 0 { pairs[place - 1] = table.value(ids[place - 1], ids[place]) }
                    if place + 1 < count { pairs[place] = table.value(ids[place], ids[place + 1]) }
                }
            }
        }
        ids.removeLast(ids.count - count)
    }

    private mutating func mergeLong(_ table: PairTable) {
        let count = ids.count
        symbols.removeAll(keepingCapacity: true)
        heap.removeAll()
        for (i, id) in ids.enumerated() {
            symbols.append(Symbol(id: id, previous: Int32(i) - 1, next: i + 1 < count ? Int32(i) + 1 : -1))
        }
        func candidate(_ left: Int32) -> Candidate? {
            guard left >= 0, case let right = symbols[Int(left)].next, right >= 0 else { return nil }
            let a = symbols[Int(left)].id, b = symbols[Int(right)].id
            let value = table.value(a, b)
            return value == PairTable.none ? nil : Candidate(rank: value, position: left, left: a, right: b)
        }
        for i in 0..<Int32(count - 1) { if let candidate = candidate(i) { heap.push(candidate) } }
        while let top = heap.pop() {
            let position = Int(top.position)
            let right = symbols[position].next
            // The pair may have been merged away since it was noted.
            guard symbols[position].id == top.left, right >= 0, symbols[Int(right)].id == top.right else { continue }
            symbols[position].id = Int32(truncatingIfNeeded: top.rank)
            let after = symbols[Int(right)].next
            symbols[position].next = after
            symbols[Int(right)].id = -1
            symbols[Int(right)].next = -1
            if after >= 0 { symbols[Int(after)].previous = top.position }
            if let before = candidate(symbols[position].previous) { heap.push(before) }
            if let next = candidate(top.position) { heap.push(next) }
        }
        ids.removeAll(keepingCapacity: true)
        var i: Int32 = 0
        while i >= 0 {
            ids.append(symbols[Int(i)].id)
            i = symbols[Int(i)].next
        }
    }
}
