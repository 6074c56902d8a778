/** Files that the user names on the command line, as opposed to those of a data directory, which are behind `Disk`. */
import { createReadStream } from 'node:fs'
import { access, constants, readFile, stat, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { createInterface } from 'node:readline'
import { UsageError } from './failure.ts'

/** The lines of a file, read as they are asked for. @throws UsageError if it cannot be read */
export async function* fileLines(path: string): AsyncGenerator<string> {
  const input = createReadStream(path)
  // What goes wrong in the stream has to reach whoever waits for a line.
  const failed = new Promise<never>((_, reject) => input.once('error', reject))
  failed.catch(() => {})
  const lines = createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY })
  const source = lines[Symbol.asyncIterator]()
  try {
    for (;;) {
      const next = await Promise.race([source.next(), failed])
      if (next.done === true) return
      yield next.value
    }
  } catch (error) {
    throw cannot('read', path, error)
  } finally {
    lines.close()
    input.destroy()
  }
}

/** @throws UsageError if it cannot be read */
export async function fileBytes(path: string): Promise<Buffer> {
  try {
    return await readFile(path)
  } catch (error) {
    throw cannot('read', path, error)
  }
}

/** Whether a file can be written there, before long work for it begins. @throws UsageError */
export async function checkWritable(path: string): Promise<void> {
  try {
    const isThere = await stat(path).catch(() => null)
    if (isThere?.isDirectory()) throw Object.assign(new Error(), { code: 'EISDIR' })
    await access(isThere === null ? dirname(path) : path, constants.W_OK)
  } catch (error) {
    throw cannot('write', path, error)
  }
}

/** @throws UsageError if it cannot be written */
export async function writeText(path: string, text: string): Promise<void> {
  try {
    await writeFile(path, text)
  } catch (error) {
    throw cannot('write', path, error)
  }
}

const REASONS: { readonly [code: string]: string } = {
  ENOENT: 'there is no such file or folder',
  EACCES: 'it is not allowed',
  EISDIR: 'it is a directory',
  ENOSPC: 'its disk is full, and what is there now is cut off',
}

function cannot(verb: string, path: string, error: unknown): Error {
  const { code = '', message } = error as NodeJS.ErrnoException
  if (code === '') return error as Error
  return new UsageError(`cannot ${verb} '${path}': ${REASONS[code] ?? message}.`)
}
