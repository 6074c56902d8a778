/** ReplicaManager: what is open while topics come and go. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MemoryDisk } from '../../../segment-store/memory-disk.ts'
import { idle } from '../fake-network.ts'
import { startHost } from '../host.ts'

/** Making the directory of one partition takes until the test says so. */
class SlowDisk extends MemoryDisk {
  release: () => void = () => {}
  private readonly released = new Promise<void>(resolve => {
    this.release = resolve
  })

  override async makeDirectory(path: string): Promise<void> {
    if (path.endsWith('/t-0')) await this.released
    return super.makeDirectory(path)
  }
}

test('partitions that are open before an earlier one are listed, and nothing else', async () => {
  const disk = new SlowDisk()
  const host = await startHost({ disk })
  const created = host.createTopic('t', 3)
  await idle()
  const open = () => Array.from(host.broker.replicas.all(), ({ index }) => index)
  assert.deepEqual(open(), [1, 2])
  disk.release()
  await created
  assert.deepEqual(open(), [0, 1, 2])
  await host.stop()
})
