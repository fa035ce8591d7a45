import CKernels

/// Draws words in proportion to their weights in constant time by Walker's alias method (1977), set up as by Vose (1991): column i keeps
/// its own word with some probability, else gives one other word.
func aliasTable(_ weights: [Double]) -> [tk_alias] {
    let total = weights.reduce(0, +), n = weights.count
    // The share of each column that its own word fills, in columns; what is above 1 fills up the others.
    var share = weights.map { $0 * Double(n) / total }
    var small = share.indices.filter { share[$0] < 1 }, large = share.indices.filter { share[$0] >= 1 }
    var table = (0..<n).map { tk_alias(threshold: .max, alias: UInt32($0)) }
    while let low = small.popLast(), let high = large.last {
        table[low] = tk_alias(threshold: UInt32(min(share[low] * 0x1p32, 0x1p32 - 1)), alias: UInt32(high))
        share[high] -= 1 - share[low]
        if share[high] < 1 {
            large.removeLast()
            small.append(high)
        }
    }
    return table
}

/// Of 2³² how often an occurrence of each word is kept, √(t/f) + t/f as in word2vec.c (the paper has √(t/f)), where f is the word's share of
/// the text; the largest number stands for always.
func keptShares(_ counts: [Int], threshold t: Double) -> [UInt32] {
    let total = Double(counts.reduce(0, +))
    return counts.map { count in
        let ratio = t * total / Double(count), kept = ratio.squareRoot() + ratio
        return t == 0 || kept >= 1 ? .max : UInt32(min(kept * 0x1p32, 0x1p32 - 2))
    }
}
