/** What the log says at the start of what an acknowledgement means. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { sayWhatAcksMean } from '../../broker/acks-log.ts'
import type { Broker } from '../../broker/broker.ts'
import { startHost } from './host.ts'

function said(broker: Broker): Record<string, unknown>[] {
  const lines: Record<string, unknown>[] = []
  const info = (event: string, fields?: object) => lines.push({ event, ...fields })
  sayWhatAcksMean(Object.assign(Object.create(broker), { logger: { ...broker.logger, info } }))
  return lines
}

test('topics of one meaning share a line, and without topics the defaults are told', async () => {
  const host = await startHost()
  try {
    const [only, ...others] = said(host.broker)
    assert.deepEqual([only?.['topics'], others], ['new ones', []])
    assert.match(String(only?.['words']), /page cache.*not a power cut/)
    await host.createTopic('memory-a', 1)
    await host.createTopic('memory-b', 1)
    await host.createTopic('disk', 1, { 'flush.messages': '1' })
    await host.createTopic('soon', 1, { 'flush.messages': '2', 'flush.ms': '500' })
    const lines = said(host.broker)
    assert.deepEqual(
      lines.map(({ topics }) => topics),
      [['memory-a', 'memory-b'], ['disk'], ['soon']],
    )
    assert.match(String(lines[1]?.['words']), /on disk.*survives a power cut/)
    assert.match(
      String(lines[2]?.['words']),
      /2 records \(flush\.messages\) or 500 ms \(flush\.ms\)/,
    )
  } finally {
    await host.stop()
  }
})
