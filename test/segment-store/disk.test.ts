/** What every `Disk` promises, tried on both; and the system's lock across processes. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import fs from 'node:fs'
import { after, test } from 'node:test'
import { LockedError } from '../../segment-store/disk.ts'
import { SystemDisk } from '../../segment-store/system-disk.ts'
import { disks } from './store-harness.ts'

const all = disks()
after(() => {
  for (const disk of all) disk.remove()
})

for (const { name, disk, root } of all) {
  test(`a file takes chunks in order and reads back any part (${name})`, async () => {
    await disk.makeDirectory(`${root}/a/b`)
    const file = disk.createSync(`${root}/a/b/file`)
    assert.equal(await file.append([Buffer.from('abc')]), 3)
    const many = Array.from({ length: 3000 }, (_, i) => Buffer.from(String(i % 10)))
    assert.equal(await file.append([Buffer.from('d'), ...many]), 3001)
    assert.equal(file.size, 3004)
    const into = Buffer.alloc(6)
    assert.equal(file.readSync(2, into), 6)
    assert.equal(into.toString(), 'cd0123')
    assert.equal(await file.read(3000, into), 4)
    assert.equal(into.toString('latin1', 0, 4), '6789')
    assert.equal(await file.read(9999, into), 0)
    file.writeAt(0, Buffer.from('X'))
    await file.truncate(4)
    assert.equal(await file.append([Buffer.from('end')]), 3)
    await file.sync()
    await file.close()
    const again = await disk.open(`${root}/a/b/file`)
    assert.equal(again.size, 7)
    assert.equal(String(await disk.readFile(`${root}/a/b/file`)), 'Xbcdend')
    await again.close()
  })

  test(`files are replaced, listed, renamed and removed (${name})`, async () => {
    const at = `${root}/files`
    assert.deepEqual(await disk.list(at), [])
    assert.equal(await disk.readFile(`${at}/none`), null)
    await assert.rejects(disk.open(`${at}/none`), { code: 'ENOENT' })
    await disk.makeDirectory(`${at}/sub`)
    await disk.replaceFile(`${at}/one`, Buffer.from('1'))
    await disk.replaceFile(`${at}/one`, Buffer.from('22'))
    await disk.replaceFile(`${at}/sub/two`, Buffer.from('2'))
    const names = (await disk.list(at)).map(entry => [entry.name, entry.isDirectory, entry.size])
    assert.deepEqual(
      names.sort().map(([entry, isDirectory, size]) => [entry, isDirectory, isDirectory || size]),
      [
        ['one', false, 2],
        ['sub', true, true],
      ],
    )
    await disk.rename(`${at}/sub`, `${at}/moved`)
    assert.equal(String(await disk.readFile(`${at}/moved/two`)), '2')
    await disk.remove(`${at}/moved`)
    await disk.remove(`${at}/moved`)
    assert.equal(await disk.readFile(`${at}/moved/two`), null)
    assert((await disk.space(at)).freeBytes > 0)
  })
}

test('the lock of a killed process is free, that of a living one is not', async () => {
  const { root } = all[1]!
  const path = `${root}/locked/.lock`
  fs.mkdirSync(`${root}/locked`)
  const module = new URL('../../segment-store/directory-lock.js', import.meta.url).href
  const script = `const { lockDirectory } = await import(${JSON.stringify(module)})
    await lockDirectory(${JSON.stringify(path)})
    console.log('locked'); setInterval(() => {}, 1000)`
  const child = spawn(process.execPath, ['--input-type=module', '-e', script])
  await new Promise(resolve => child.stdout.once('data', resolve))
  const disk = new SystemDisk()
  await assert.rejects(disk.lock(path), (error: unknown) => {
    return error instanceof LockedError && error.holder.includes(String(child.pid))
  })
  const gone = new Promise(resolve => child.once('exit', resolve))
  child.kill('SIGKILL')
  await gone
  const lock = await disk.lock(path)
  await assert.rejects(disk.lock(path), LockedError)
  await lock.release()
  await (await disk.lock(path)).release()
})
