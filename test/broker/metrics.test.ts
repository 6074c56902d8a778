import assert from 'node:assert/strict'
import { test } from 'node:test'
import { LATENCY_BOUNDS_MS, Metrics } from '../../broker/metrics.ts'
import { apis } from '../../protocol/apis.ts'

test('a request counts under its version, and under the last slot when we do not know the version', () => {
  const metrics = new Metrics()
  const [, newest] = apis.Produce.versions
  for (const version of [0, newest, newest, newest + 1, 32767, -1, -32768]) {
    metrics.request('Produce', version, 1)
  }
  const { byVersion } = metrics.apis.get('Produce')!
  assert.equal(byVersion.length, newest + 2)
  assert.equal(byVersion[0], 1)
  assert.equal(byVersion[newest], 2)
  assert.equal(byVersion[newest + 1], 4)
})

test('a latency counts in the first bucket whose bound it does not exceed, and all of it in the sum', () => {
  const metrics = new Metrics()
  const meter = metrics.apis.get('Fetch')!
  LATENCY_BOUNDS_MS.forEach((bound, bucket) => {
    metrics.request('Fetch', 12, bound)
    assert.equal(meter.byLatency[bucket], bucket === 0 ? 1 : 2, `at ${bound} ms`)
    metrics.request('Fetch', 12, bound * 1.000001)
    assert.equal(meter.byLatency[bucket + 1], 1, `just above ${bound} ms`)
  })
  metrics.request('Fetch', 12, 0)
  assert.equal(meter.byLatency[0], 2)
  const sum = LATENCY_BOUNDS_MS.reduce((total, bound) => total + bound * 2.000001, 0)
  assert.ok(Math.abs(meter.latencySumMs[0]! - sum) < 1e-6)
})

test('every API that has messages has a meter', () => {
  const metrics = new Metrics()
  for (const name of Object.keys(apis) as (keyof typeof apis)[]) metrics.request(name, 0, 1)
  assert.equal(metrics.apis.size, Object.keys(apis).length)
})

test('errors count by API and name; success is not an error', () => {
  const metrics = new Metrics()
  metrics.requestError('Produce', 'NOT_LEADER_OR_FOLLOWER')
  metrics.requestError('Produce', 'NOT_LEADER_OR_FOLLOWER')
  metrics.requestError('Produce', 'NONE')
  metrics.requestError('Fetch', 'OFFSET_OUT_OF_RANGE')
  assert.deepEqual([...metrics.apis.get('Produce')!.byError], [['NOT_LEADER_OR_FOLLOWER', 2]])
  assert.deepEqual([...metrics.apis.get('Fetch')!.byError], [['OFFSET_OUT_OF_RANGE', 1]])
})

test('a topic has one meter until it is removed, and a topic of the same name starts at zero', () => {
  const metrics = new Metrics()
  const meter = metrics.topicMeter('orders')
  meter.bytesIn += 10
  assert.equal(metrics.topicMeter('orders'), meter)
  metrics.removeTopic('orders')
  metrics.removeTopic('never there')
  meter.bytesIn += 10
  assert.equal(metrics.topics.size, 0)
  assert.equal(metrics.topicMeter('orders').bytesIn, 0)
})

test('connections count by listener, refused ones by reason', () => {
  const metrics = new Metrics()
  metrics.connectionOpened('INSIDE')
  metrics.connectionOpened('INSIDE')
  metrics.connectionClosed('INSIDE')
  metrics.listenerMeter('OUTSIDE')
  assert.deepEqual(
    [...metrics.listeners],
    [
      ['INSIDE', { opened: 2, closed: 1 }],
      ['OUTSIDE', { opened: 0, closed: 0 }],
    ],
  )
  assert.deepEqual([...metrics.refusedConnections.values()], [0, 0, 0])
  metrics.connectionRefused('max.connections')
  metrics.connectionRefused('another')
  assert.equal(metrics.refusedConnections.get('max.connections'), 1)
  assert.equal(metrics.refusedConnections.get('another'), 1)
})
