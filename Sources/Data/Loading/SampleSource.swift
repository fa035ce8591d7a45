import CoreTensor

/// Loads one batch after another from a data set: what a worker does.
struct SampleSource<D: Dataset, Batch: Sendable>: Sendable {
    let dataset: D
    let seed: UInt64
    let retries: Int
    let skips: Bool
    let transform: (@Sendable (D.Sample, RandomGenerator) throws -> D.Sample)?
    let collate: @Sendable ([D.Sample], BatchContext) throws -> Batch

    func load(epoch: Int, position: Int, indices: [Int]) async throws -> LoadedBatch<Batch> {
        let began = ContinuousClock.now
        var report = LoadReport(), samples: [D.Sample] = [], kept: [Int] = []
        samples.reserveCapacity(indices.count)
        for index in indices {
            do {
                samples.append(try await sample(index, epoch, &report))
                kept.append(index)
            } catch let error as CancellationError {
                throw error
            } catch {
                let named = DataLoaderError(index: index, epoch: epoch, batch: position, underlying: error)
                if !skips { throw named }
                report.skipped.append(named)
            }
        }
        var batch: Batch?
        if !samples.isEmpty || indices.isEmpty {
            // Batches and samples draw from different streams.
            let generator = epochGenerator(seed, epoch).split(1).split(UInt64(position))
            let context = BatchContext(epoch: epoch, batch: position, indices: kept, generator: generator)
            do { batch = try collate(samples, context) } catch {
                throw DataLoaderError(index: nil, epoch: epoch, batch: position, underlying: error)
            }
        }
        report.duration = ContinuousClock.now - began
        return LoadedBatch(batch: batch, load: report)
    }

    private func sample(_ index: Int, _ epoch: Int, _ report: inout LoadReport) async throws -> D.Sample {
        if !(0..<dataset.count).contains(index) {
            throw IndexOutOfRange(index: index, count: dataset.count)
        }
        var attempt = 0
        while true {
            try Task.checkCancellation()
            do {
                let sample = try await dataset.sample(at: index)
                guard let transform else { return sample }
                return try transform(sample, epochGenerator(seed, epoch).split(0).split(UInt64(index)))
            } catch let error where !(error is CancellationError) && attempt < retries {
                attempt += 1
                report.retries += 1
            }
        }
    }
}

/// A sampler's index that its data set has not.
struct IndexOutOfRange: Error, CustomStringConvertible {
    let index: Int, count: Int
    var description: String { "the index \(index) of a data set of \(count) samples" }
}
