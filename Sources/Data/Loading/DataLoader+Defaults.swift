import CoreTensor

extension DataLoader {
    /// Batches of `batchSize` samples.
    ///
    /// - Parameters:
    ///   - shuffle: a new order in every epoch, by the seed; else the samples in order.
    ///   - sampler: an order of one's own, in place of `shuffle`.
    ///   - dropLast: leaves out a last batch of fewer samples.
    ///
    /// The other parameters are those of the initialiser with `batches:`. Traps on a batch size below 1, and on `shuffle` beside a sampler.
    public convenience init<D: Dataset>(
        _ dataset: D, batchSize: Int, shuffle: Bool = false, sampler: (any Sampler)? = nil, dropLast: Bool = false,
        seed: UInt64 = 0, workers: Int = 0, prefetch: Int = 2, retries: Int = 0, badSamples: BadSamplePolicy = .stop,
        transform: (@Sendable (D.Sample, RandomGenerator) throws -> D.Sample)? = nil,
        collate: @escaping @Sendable ([D.Sample], BatchContext) throws -> Batch
    ) {
        if shuffle && sampler != nil { fail("DataLoader", "a sampler and shuffle: true; a sampler is an order of its own") }
        let order: any Sampler =
            sampler ?? (shuffle ? RandomSampler(dataset.count, seed: seed) : SequentialSampler(dataset.count))
        self.init(
            dataset, batches: FixedBatches(order, size: batchSize, dropLast: dropLast), seed: seed, workers: workers,
            prefetch: prefetch, retries: retries, badSamples: badSamples, transform: transform, collate: collate)
    }

    /// Inputs and labels, stacked: samples `([...], [...])` give `([batch, ...], [batch, ...])`.
    public convenience init<D: Dataset>(
        _ dataset: D, batchSize: Int, shuffle: Bool = false, sampler: (any Sampler)? = nil, dropLast: Bool = false,
        seed: UInt64 = 0, workers: Int = 0, prefetch: Int = 2, retries: Int = 0, badSamples: BadSamplePolicy = .stop,
        transform: (@Sendable (D.Sample, RandomGenerator) throws -> D.Sample)? = nil
    ) where D.Sample == (Tensor, Tensor), Batch == (Tensor, Tensor) {
        self.init(
            dataset, batchSize: batchSize, shuffle: shuffle, sampler: sampler, dropLast: dropLast, seed: seed, workers: workers,
            prefetch: prefetch, retries: retries, badSamples: badSamples, transform: transform
        ) { samples, _ in try stackedPairs(samples) }
    }

    /// Tensors, stacked: samples `[...]` give `[batch, ...]`.
    public convenience init<D: Dataset>(
        _ dataset: D, batchSize: Int, shuffle: Bool = false, sampler: (any Sampler)? = nil, dropLast: Bool = false,
        seed: UInt64 = 0, workers: Int = 0, prefetch: Int = 2, retries: Int = 0, badSamples: BadSamplePolicy = .stop,
        transform: (@Sendable (D.Sample, RandomGenerator) throws -> D.Sample)? = nil
    ) where D.Sample == Tensor, Batch == Tensor {
        self.init(
            dataset, batchSize: batchSize, shuffle: shuffle, sampler: sampler, dropLast: dropLast, seed: seed, workers: workers,
            prefetch: prefetch, retries: retries, badSamples: badSamples, transform: transform
        ) { samples, _ in try stacked(samples) }
    }
}
