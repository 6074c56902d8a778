/**
 * What every `MetadataStore` promises (metadata/store.ts). Each implementation runs these tests with a way to make an
 * empty store.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { MetadataStore, Update } from '../../../broker/metadata/store.ts'

/** What a watcher heard, as `revision: key=value …`; `heard(n)` waits for n of them. */
export function recorder() {
  const lines: string[] = []
  let wake = () => {}
  const push = (line: string) => {
    lines.push(line)
    wake()
  }
  return {
    lines,
    batch(revision: number, updates: readonly Update[]) {
      push(`${revision}: ${updates.map(({ key, value }) => `${key}=${value}`).join(' ')}`)
    },
    compacted: (revision: number) => push(`compacted ${revision}`),
    stale: () => push('stale'),
    async heard(count: number): Promise<readonly string[]> {
      while (lines.length < count) {
        await new Promise<void>(resolve => {
          wake = resolve
        })
      }
      return lines
    },
  }
}

const put = (key: string, value: string | null) => ({ key, value })
const absent = (key: string) => ({ key, createRevision: 0 })

export function storeContract(name: string, open: () => Promise<MetadataStore>): void {
  const promises = (what: string, run: (store: MetadataStore) => Promise<void>) =>
    test(`${name}: ${what}`, async () => {
      const store = await open()
      try {
        await run(store)
      } finally {
        await store.close()
      }
    })

  promises('a commit is one revision, whatever it changes', async store => {
    const { revision: before } = await store.range('')
    const result = await store.commit([], [put('a', '1'), put('b', '2')])
    assert.deepEqual([result.ok, result.revision], [true, before + 1])
    const { entries, revision } = await store.range('')
    assert.equal(revision, before + 1)
    assert.deepEqual(
      entries.map(entry => [entry.key, entry.value, entry.modRevision, entry.createRevision]),
      [
        ['a', '1', revision, revision],
        ['b', '2', revision, revision],
      ],
    )
  })

  promises('a failed compare changes nothing and shows what is there', async store => {
    const { revision } = await store.commit([absent('a')], [put('a', '1')])
    const refused = await store.commit([absent('a')], [put('a', '2'), put('b', '2')])
    assert.equal(refused.ok, false)
    assert.deepEqual(refused.seen, [
      { key: 'a', value: '1', modRevision: revision, createRevision: revision },
    ])
    assert.deepEqual((await store.range('b')).entries, [])
  })

  promises('compares look at modification and creation, also of keys not written', async store => {
    const made = await store.commit([], [put('fence', 'x')])
    const changed = await store.commit([], [put('fence', 'y')])
    const commit = async (compare: object) =>
      (await store.commit([{ key: 'fence', ...compare }], [put('a', '1')])).ok
    assert.equal(await commit({ modRevision: made.revision }), false)
    assert.equal(await commit({ modRevision: changed.revision }), true)
    assert.equal(await commit({ createRevision: made.revision }), true)
    assert.equal(await commit({ createRevision: changed.revision }), false)
    assert.equal(await commit({ createRevision: 0 }), false)
  })

  promises('a deleted key is absent and created anew', async store => {
    await store.commit([], [put('a', '1')])
    await store.commit([], [put('a', null)])
    const again = await store.commit([absent('a')], [put('a', '2')])
    assert.equal(again.ok, true)
    assert.equal((await store.range('a')).entries[0]!.createRevision, again.revision)
  })

  promises('of two commits with the same compare at the same time one wins', async store => {
    const results = await Promise.all(
      ['1', '2', '3'].map(value => store.commit([absent('a')], [put('a', value)])),
    )
    assert.equal(results.filter(({ ok }) => ok).length, 1)
  })

  promises('range gives the keys of a prefix in order, up to a limit', async store => {
    await store.commit([], [put('p/2', 'b'), put('p/1', 'a'), put('q', 'c'), put('p/3', 'd')])
    const keys = async (limit?: number) => {
      const found = await store.range('p/', limit === undefined ? {} : { limit })
      return [found.entries.map(({ key }) => key).join(), found.more]
    }
    assert.deepEqual(await keys(), ['p/1,p/2,p/3', false])
    assert.deepEqual(await keys(3), ['p/1,p/2,p/3', false])
    assert.deepEqual(await keys(2), ['p/1,p/2', true])
  })

  promises('range reads as of an older revision', async store => {
    const { revision } = await store.commit([], [put('a', '1'), put('b', '1')])
    await store.commit([], [put('a', '2'), put('b', null), put('c', '2')])
    const { entries } = await store.range('', { atRevision: revision })
    assert.deepEqual(
      entries.map(({ key, value }) => `${key}=${value}`),
      ['a=1', 'b=1'],
    )
  })

  promises('a watcher hears every revision of its prefix once, in order', async store => {
    const first = await store.commit([], [put('w/a', '1')])
    const watcher = recorder()
    const end = store.watch('w/', first.revision, watcher)
    await store.commit([], [put('x', '1')])
    await store.commit([], [put('w/a', '2'), put('x', '2'), put('w/b', '2')])
    await Promise.all([1, 2].map(i => store.commit([], [put('w/b', `c${i}`)])))
    const last = await store.commit([], [put('w/a', null)])
    const r = first.revision
    assert.deepEqual(await watcher.heard(5), [
      `${r}: w/a=1`,
      `${r + 2}: w/a=2 w/b=2`,
      `${r + 3}: w/b=c1`,
      `${r + 4}: w/b=c2`,
      `${last.revision}: w/a=null`,
    ])
    end()
    await store.commit([], [put('w/a', '9')])
    await store.range('')
    assert.equal(watcher.lines.length, 5)
  })

  promises('a watcher that comes after a compaction is told so', async store => {
    const { revision } = await store.commit([], [put('a', '1')])
    const second = await store.commit([], [put('a', '2')])
    await store.compact(revision)
    const [late, inTime] = [recorder(), recorder()]
    store.watch('', revision, late)
    store.watch('', revision + 1, inTime)
    assert.deepEqual(await late.heard(1), [`compacted ${revision}`])
    assert.deepEqual(await inTime.heard(1), [`${second.revision}: a=2`])
  })

  promises('keys of a lease go when it is revoked', async store => {
    const lease = await store.lease(6000, 'l1')
    assert.equal(lease.valid(0), true)
    await store.commit([], [{ key: 'b/1', value: 'x', lease: 'l1' }, put('kept', 'y')])
    await lease.revoke()
    assert.equal(lease.valid(0), false)
    const { entries } = await store.range('')
    assert.deepEqual(
      entries.map(({ key }) => key),
      ['kept'],
    )
  })
}
