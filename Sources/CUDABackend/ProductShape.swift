/// How a product [m, k] · [k, n] is cut up: by its shape alone, so that a result is the same on every device.
struct ProductShape {
    /// The side of a tile of the result.
    let tile: Int
    /// The parts of k that are summed by different blocks, and then added in order.
    let splits: Int
    let m, n, batch: Int

    /// From so many large tiles on a device is busy with them; fewer are made of smaller ones, and those of parts of k of so many elements.
    nonisolated(unsafe) static var fewTiles = 64
    nonisolated(unsafe) static var shortestPart = 256

    init(m: Int, n: Int, k: Int, batch: Int) {
        func tiles(_ side: Int) -> Int { (m + side - 1) / side * ((n + side - 1) / side) * batch }
        tile = tiles(128) >= Self.fewTiles ? 128 : 64
        let count = tiles(tile)
        splits = count == 0 || count >= Self.fewTiles ? 1 : max(1, min(k / Self.shortestPart, 2 * Self.fewTiles / count, 32))
        (self.m, self.n, self.batch) = (m, n, batch)
    }

    /// A block to a tile, and to each part of each product of the batch.
    var grid: (Int, Int) { ((m + tile - 1) / tile * ((n + tile - 1) / tile), min(batch * splits, 65_535)) }
}
