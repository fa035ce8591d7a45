import CCUDA
import CUDAEmulator
import Tapestry
import Testing

@testable import CUDABackend

extension CUDATests {
    /// Streams, events and what memory they may share. The emulator does work as late as it may here, so that what does not wait for another
    /// stream sees memory as it was before.
    @Suite struct Streams {
        private let device = Emulated.device
        private let values = (0..<1000).map { Float($0) }

        @Test func workGoesToTheCurrentStream() throws {
            let main = CUDA.currentStream(device), side = try CUDA.Stream(device: device)
            #expect(main != side && side.device == device)
            CUDA.withStream(side) {
                #expect(CUDA.currentStream(device) == side)
                CUDA.withStream(main) { #expect(CUDA.currentStream(device) == main) }
                #expect(CUDA.currentStream(device) == side)
            }
            #expect(CUDA.currentStream(device) == main)
            struct Stop: Error {}
            #expect(throws: Stop.self) { try CUDA.withStream(side) { throw Stop() } }
            #expect(CUDA.currentStream(device) == main)
        }

        /// The choice of a stream is a thread's own.
        @Test func threadsHaveStreamsOfTheirOwn() async throws {
            let main = CUDA.currentStream(device)
            let sums = try await withThrowingTaskGroup(of: Float.self) { group in
                for number in 0..<4 {
                    group.addTask {
                        let side = try CUDA.Stream(device: device)
                        return CUDA.withStream(side) {
                            #expect(CUDA.currentStream(device) == side)
                            return (Tensor(values).to(device) + Float(number)).sum().item(Float.self)
                        }
                    }
                }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(sums.sorted() == (0..<4).map { 499_500 + 1000 * Float($0) } && CUDA.currentStream(device) == main)
        }

        /// The result of one stream, used by another: right with a wait, wrong without. So a wait that is left out is seen.
        @Test(arguments: [true, false]) func aStreamWaitsForAnother(_ waits: Bool) throws {
            let x = Tensor(values).to(device), side = try CUDA.Stream(device: device)
            CUDA.synchronize(device)
            Emulated.delayed {
                let y = CUDA.withStream(side) { (x * 2).sum() }
                if waits { CUDA.currentStream(device).wait(for: side.record()) }
                let result = (y + 1).item(Float.self)
                #expect((result == 999_001) == waits, "\(result)")
            }
        }

        @Test func eventsAreDoneInOrder() throws {
            let x = Tensor(values).to(device)
            let before = CUDA.Event(device: device), after = CUDA.Event(device: device)
            #expect(before.isDone, "nothing was recorded")
            Emulated.delayed {
                before.record()
                let y = x + 1
                after.record()
                #expect(!after.isDone)
                after.synchronize()
                #expect(before.isDone && after.isDone && after.elapsed(since: before) >= 0)
                #expect(y[3].item(Float.self) == 4)
            }
            let stream = try CUDA.Stream(device: device)
            let waits = tk_emulator_get_statistics().waits
            stream.synchronize()
            CUDA.synchronize(device)
            #expect(tk_emulator_get_statistics().waits >= waits + 3)
        }

        /// A block goes back to its own stream at once, and to nobody while another stream may still use it.
        @Test func aBlockThatAnotherStreamUses() throws {
            let side = try CUDA.Stream(device: device)
            var x: Tensor? = Tensor(values).to(device)
            let address = x!.raw.pointer
            CUDA.synchronize(device)
            try Emulated.delayed {
                let y = CUDA.withStream(side) { x! * 2 }
                x = nil
                // The same size again: another place, as the other stream has not read the block yet.
                let z = Tensor(ones: [1000], device: device)
                #expect(z.raw.pointer != address)
                CUDA.synchronize(device)
                #expect(y.onCPU.scalars(Float.self) == values.map { 2 * $0 })
                let freed = try #require(Optional(Tensor(ones: [1000], device: device)))
                #expect(freed.raw.pointer == address, "the other stream is done")
            }
        }

        /// Streams have memory of their own; a stream that ends leaves its blocks to the default one.
        @Test func eachStreamHasItsBlocks() throws {
            let table = Emulated.table(), context = try CUDAContext(CUDADriver(table), index: 0), allocator = context.allocator
            let side = try context.makeStream()
            let a = try allocator.allocate(1000), b = try allocator.allocate(1000, for: side)
            #expect(allocator.statistics.driverAllocations == 2)
            allocator.deallocate(a)
            #expect(try allocator.allocate(1000, for: side) != a, "not the default stream's")
            allocator.deallocate(b)
            #expect(try allocator.allocate(1000, for: side) == b)
            context.destroyStream(side)
            allocator.deallocate(b)
            allocator.emptyCache()
            #expect(allocator.statistics.bytesInUse == 1024 && allocator.statistics.bytesCached == (2 << 20) - 1024)
        }

        /// Where the driver has no more memory, a free segment goes over to another stream, behind an event.
        @Test func aSegmentChangesStreams() throws {
            let before = Int(tk_emulator_get_statistics().live_bytes)
            try Emulated.with {
                $0.memory_bytes = before + 64 << 20
            } _: { table in
                let context = try CUDAContext(CUDADriver(table), index: 0), allocator = context.allocator
                let side = try context.makeStream()
                let large = try allocator.allocate(40 << 20)
                try Emulated.delayed {
                    context.setBytes(large, 1, 40 << 20)
                    allocator.deallocate(large)
                    let other = try allocator.allocate(40 << 20, for: side)
                    #expect(other == large && allocator.statistics.driverAllocations == 1)
                    let stream = CUDA.Stream(context, borrowing: side)
                    CUDA.run(on: stream) { context.setBytes(other, 2, 40 << 20) }
                    var byte: UInt8 = 0
                    CUDA.run(on: stream) { context.copyToHost(&byte, other, 1) }
                    context.synchronizeAll()
                    CUDA.run(on: stream) { context.copyToHost(&byte, other, 1) }
                    #expect(byte == 2, "the first stream's bytes came before")
                }
                allocator.deallocate(large)
                allocator.emptyCache()
            }
        }

        // MARK: The host's side

        @Test func pinnedTensors() {
            let x = Tensor(values, shape: [10, 100])
            var pinned = x.pinned(for: device)
            #expect(pinned.device == .cpu && pinned.isEqual(to: x))
            #expect(pinned.to(device).onCPU.isEqual(to: x))
            pinned += 1
            #expect(pinned.isEqual(to: x + 1), "written to in memory of its own")
            #expect(Tensor(ones: [0], dtype: .int8).pinned(for: device).to(device).shape == [0])
        }

        /// Pinned blocks are used again, but not while a copy from them is on its way.
        @Test func pinnedBlocksAreKept() {
            _ = Tensor(values).pinned(for: device)
            let before = tk_emulator_get_statistics().host_allocations
            for _ in 0..<3 { _ = Tensor(values).pinned(for: device).to(device) }
            #expect(tk_emulator_get_statistics().host_allocations == before)
            Emulated.delayed {
                let there = (0..<3).map { Tensor(values + [Float($0)]).pinned(for: device).to(device) }
                #expect(there.map { $0[1000].item(Float.self) } == [0, 1, 2])
            }
        }

        @Test func copiesToTheHost() {
            let x = Tensor(values).to(device)
            CUDA.synchronize(device)
            Emulated.delayed {
                let waits = tk_emulator_get_statistics().waits
                let copy = (x + 1).sum().copyToHost()
                #expect(tk_emulator_get_statistics().waits == waits && !copy.isReady)
                #expect(copy.wait().item(Float.self) == 500_500 && copy.isReady)
            }
        }

        /// Batches arrive in order, whole, and ahead of their use.
        @Test(arguments: [1, 2, 3]) func prefetching(_ depth: Int) async throws {
            let batches = (0..<5).map { (Tensor(Array(repeating: Float($0), count: 300)), Tensor([$0])) }
            let stream = AsyncStream<(Tensor, Tensor)> { continuation in
                for batch in batches { continuation.yield(batch) }
                continuation.finish()
            }
            tk_emulator_set_delayed(1)
            defer { tk_emulator_set_delayed(0) }
            var place = 0
            for try await (x, y) in stream.prefetched(to: device, depth: depth, { ($1($0.0), $1($0.1)) }) {
                #expect(x.device == device && y.item(Int.self) == place)
                #expect((x * 2).sum().item(Float.self) == Float(600 * place))
                place += 1
            }
            #expect(place == 5)
        }

        @Test func aBatchIsCopiedWhileAnotherIsUsed() throws {
            var uploads = CUDA.Uploads<Tensor>(device)
            Emulated.delayed {
                #expect(uploads.next() == nil)
                uploads.start { $0(Tensor(values)) }
                uploads.start { $0(Tensor(values) + 1) }
                #expect(!uploads.hasRoom)
                let first = uploads.next()!
                #expect(first.sum().item(Float.self) == 499_500, "what is used has arrived")
                let second = uploads.next()!
                #expect(second.sum().item(Float.self) == 500_500 && uploads.next() == nil)
            }
        }
    }
}
