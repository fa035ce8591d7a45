import CoreTensor
import Transformers

/// Vectors of texts for many callers at once: an actor that gathers the texts waiting at the time into one batch.
///
/// ```swift
/// let service = EmbeddingService(try TextEmbedder(folder: "models/all-MiniLM-L6-v2"))
/// let vector = try await service.embed("A cat sat on the mat.")
/// ```
public actor EmbeddingService {
    /// What is taken on; only texts in bytes and requests at a time count here.
    public let limits: ServiceLimits
    /// Texts that are read together, at most.
    public let batchSize: Int
    private let embedder: TextEmbedder
    private var waiting: [Request] = []
    private var isRunning = false
    private var count = 0
    /// Batches computed so far.
    public private(set) var batchCount = 0

    private struct Request {
        let number: Int
        let text: String
        let answer: CheckedContinuation<[Float], any Error>
    }

    /// A service of `embedder`, whose model is its own from here on.
    public init(_ embedder: sending TextEmbedder, batchSize: Int = 32, limits: ServiceLimits = ServiceLimits()) {
        self.embedder = embedder
        self.batchSize = max(batchSize, 1)
        self.limits = limits
    }

    /// The vector of a text. Throws ``ServiceError`` for one that is too long or when too many wait, `TokenizerError` for one that has no tokens,
    /// `CancellationError` when the task is cancelled before it is its turn.
    public func embed(_ text: String) async throws -> [Float] {
        if text.utf8.count > limits.textBytes { throw ServiceError.tooLong(bytes: text.utf8.count, limit: limits.textBytes) }
        if waiting.count >= limits.concurrentRequests { throw ServiceError.busy(running: waiting.count) }
        // One by itself, so that a text that has no tokens fails alone.
        _ = try embedder.tokenizer.encode(text, addSpecialTokens: true)
        count += 1
        let number = count
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                if Task.isCancelled {
                    continuation.resume(throwing: CancellationError())
                    return
                }
                waiting.append(Request(number: number, text: text, answer: continuation))
                if !isRunning {
                    isRunning = true
                    Task { await run() }
                }
            }
        } onCancel: {
            Task { await cancel(number) }
        }
    }

    private func cancel(_ number: Int) {
        guard let index = waiting.firstIndex(where: { $0.number == number }) else { return }
        waiting.remove(at: index).answer.resume(throwing: CancellationError())
    }

    private func run() async {
        while !waiting.isEmpty {
            let batch = Array(waiting.prefix(batchSize))
            waiting.removeFirst(batch.count)
            do {
                let vectors = try embedder.embed(batch.map(\.text), batchSize: batchSize).scalars(Float.self)
                let width = embedder.width
                for (row, request) in batch.enumerated() {
                    request.answer.resume(returning: Array(vectors[row * width..<(row + 1) * width]))
                }
            } catch {
                for request in batch { request.answer.resume(throwing: error) }
            }
            batchCount += 1
            // Lets requests in that came meanwhile.
            await Task.yield()
        }
        isRunning = false
    }
}
