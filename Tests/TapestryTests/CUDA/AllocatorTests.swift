import CCUDA
import CUDAEmulator
import Tapestry
import Testing

@testable import CUDABackend

extension CUDATests {
    /// The caching allocator: sizes, cutting, joining, giving back, running out.
    @Suite struct Allocator {
        private func context(_ table: tk_cuda_driver) throws -> CUDAContext { try CUDAContext(CUDADriver(table), index: 0) }

        @Test func blocksAreCutAndJoined() throws {
            let allocator = try context(Emulated.table()).allocator
            let a = try allocator.allocate(1), b = try allocator.allocate(513), c = try allocator.allocate(0)
            #expect(b == a + 512 && c == b + 1024, "rounded up to 512 bytes, one after the other")
            var counts = allocator.statistics
            #expect(counts.bytesInUse == 512 + 1024 + 512 && counts.bytesCached == 2 << 20 - counts.bytesInUse)
            #expect(counts.driverAllocations == 1 && counts.splits == 3)
            allocator.deallocate(b)
            #expect(try allocator.allocate(1000) == b, "the hole that fits, not the larger rest")
            allocator.deallocate(a)
            allocator.deallocate(b)
            #expect(try allocator.allocate(1536) == a, "two neighbours became one")
            allocator.deallocate(a)
            allocator.deallocate(c)
            counts = allocator.statistics
            #expect(counts.bytesInUse == 0 && counts.bytesCached == 2 << 20 && counts.merges == counts.splits)
            #expect(counts.peakBytesInUse == 512 + 1024 + 512)
            allocator.emptyCache()
            #expect(allocator.statistics.bytesCached == 0)
        }

        @Test func poolsBySize() throws {
            let allocator = try context(Emulated.table()).allocator
            let small = try allocator.allocate(1 << 20)
            #expect(allocator.statistics.bytesCached == 1 << 20, "a segment of 2 MB")
            let middle = try allocator.allocate(3 << 20)
            #expect(allocator.statistics.bytesCached == 18 << 20, "and one of 20 MB")
            let large = try allocator.allocate(11 << 20)
            #expect(allocator.statistics.driverAllocations == 2, "which 11 MB fit into as well")
            let larger = try allocator.allocate(33 << 20 - 5)
            #expect(allocator.statistics.driverAllocations == 3 && allocator.statistics.bytesCached == 7 << 20, "33 MB are 34")
            for address in [small, middle, large, larger] { allocator.deallocate(address) }
            allocator.emptyCache()
            #expect(allocator.statistics.bytesCached == 0 && allocator.statistics.bytesInUse == 0)
        }

        /// A program that repeats itself asks the driver once.
        @Test func nothingNewAfterTheFirstStep() {
            let device = Emulated.device
            func step() {
                let x = Tensor(uniform: [64, 32], generator: RandomGenerator(seed: 1)).to(device),
                    w = Tensor(ones: [32, 16], device: device)
                _ = softmax(x.matmul(w), axis: -1).sum().item(Float.self)
            }
            step()
            let before = CUDA.memoryStatistics(device)
            for _ in 0..<3 { step() }
            let after = CUDA.memoryStatistics(device)
            #expect(after.driverAllocations == before.driverAllocations && after.bytesInUse == before.bytesInUse)
            #expect(after.allocations > before.allocations)
        }

        /// Any sequence of requests: no two blocks overlap, and everything comes back in one piece.
        @Test func anySequence() throws {
            let allocator = try context(Emulated.table()).allocator
            var state: UInt64 = 12345, live: [(UInt64, Int)] = []
            func random(_ n: Int) -> Int {
                state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                return Int(state >> 33) % n
            }
            for _ in 0..<600 {
                if random(5) < 2, !live.isEmpty {
                    allocator.deallocate(live.remove(at: random(live.count)).0)
                } else {
                    let size = 1 + random([600, 5000, 900_000, 4_000_000][random(4)])
                    let address = try allocator.allocate(size)
                    #expect(live.allSatisfy { address + UInt64(size) <= $0.0 || $0.0 + UInt64($0.1) <= address })
                    live.append((address, size))
                }
            }
            for (address, _) in live { allocator.deallocate(address) }
            #expect(allocator.statistics.bytesInUse == 0)
            allocator.emptyCache()
            #expect(allocator.statistics.bytesCached == 0, "every segment became whole again")
        }

        @Test func outOfMemory() throws {
            try Emulated.with {
                $0.memory_bytes = 64 << 20
            } _: { table in
                let allocator = try context(table).allocator
                let before = tk_emulator_get_statistics().live_bytes
                let limit = 64 << 20 - Int(before)
                let first = try allocator.allocate(30 << 20)
                allocator.deallocate(first)
                // What is cached makes room for a request of another size.
                let second = try allocator.allocate(limit - (4 << 20))
                do {
                    _ = try allocator.allocate(40 << 20)
                    Issue.record("there is no room for that")
                } catch {
                    let text = "\(error)"
                    #expect(text.contains("cuda:0 is out of memory: \(40 << 20) bytes asked for; of 64 MB"), "\(text)")
                }
                #expect(try allocator.allocate(100) != 0, "it goes on")
                allocator.deallocate(second)
            }
        }

        /// In a scope the error is thrown and the program goes on.
        @Test func outOfMemoryIsThrown() throws {
            let device = Emulated.device
            let x = Tensor(ones: [8], device: device)
            Emulated.with {
                $0.memory_bytes = 48 << 20
            } _: { _ in
                CUDA.emptyCache(device)
                #expect {
                    try CUDA.catchingErrors {
                        let large = Tensor(ones: [64 << 20], device: device)
                        #expect((large + 1).sum().item(Float.self) == 0, "what follows does nothing")
                    }
                } throws: { error in
                    guard case CUDAError.outOfMemory(let requested, _, _, let total, 0) = error else { return false }
                    return requested == 256 << 20 && total == 1 << 30
                }
            }
            #expect((x + 1).scalars(Float.self) == [Float](repeating: 2, count: 8))
            #expect(try CUDA.catchingErrors { x.sum().item(Float.self) } == 8)
        }
    }
}
