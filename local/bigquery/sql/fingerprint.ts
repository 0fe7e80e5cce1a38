import { DuckDBBlobValue, type DuckDBValue } from '@duckdb/node-api';

const K0 = 0xc3a5c85c97cb3127n;
const K1 = 0xb492b66fbe98f273n;
const K2 = 0x9ae16a3b2f90404fn;

const u64 = (value: bigint) => BigInt.asUintN(64, value);
const rotate = (value: bigint, by: bigint) => u64((u64(value) >> by) | (u64(value) << (64n - by)));
const shiftMix = (value: bigint) => u64(value) ^ (u64(value) >> 47n);

function hash16(u: bigint, v: bigint, factor: bigint): bigint {
  const a = shiftMix((u64(u) ^ u64(v)) * factor);
  const b = shiftMix((u64(v) ^ a) * factor);
  return u64(b * factor);
}

/** FARM_FINGERPRINT: FarmHash's Fingerprint64, by its published algorithm, as a signed INT64. */
export function fingerprint64(value: DuckDBValue): bigint {
  const bytes = value instanceof DuckDBBlobValue ? Buffer.from(value.bytes) : Buffer.alloc(0);
  return BigInt.asIntN(64, hash(bytes));
}

function hash(s: Buffer): bigint {
  if (s.length <= 16) return upTo16(s);
  if (s.length <= 32) return upTo32(s);
  return s.length <= 64 ? upTo64(s) : long(s);
}

function upTo16(s: Buffer): bigint {
  const length = BigInt(s.length);
  const factor = u64(K2 + length * 2n);
  if (s.length >= 8) {
    const a = u64(s.readBigUInt64LE(0) + K2);
    const b = s.readBigUInt64LE(s.length - 8);
    return hash16(rotate(b, 37n) * factor + a, (rotate(a, 25n) + b) * factor, factor);
  }
  if (s.length >= 4) {
    return hash16(length + (BigInt(s.readUInt32LE(0)) << 3n), BigInt(s.readUInt32LE(s.length - 4)), factor);
  }
  if (s.length === 0) return K2;
  const y = BigInt(s.readUInt8(0)) + (BigInt(s.readUInt8(s.length >> 1)) << 8n);
  const z = length + (BigInt(s.readUInt8(s.length - 1)) << 2n);
  return u64(shiftMix(u64(y * K2) ^ u64(z * K0)) * K2);
}

function upTo32(s: Buffer): bigint {
  const factor = u64(K2 + BigInt(s.length) * 2n);
  const a = u64(s.readBigUInt64LE(0) * K1);
  const b = s.readBigUInt64LE(8);
  const c = u64(s.readBigUInt64LE(s.length - 8) * factor);
  const d = u64(s.readBigUInt64LE(s.length - 16) * K2);
  return hash16(rotate(a + b, 43n) + rotate(c, 30n) + d, a + rotate(b + K2, 18n) + c, factor);
}

function upTo64(s: Buffer): bigint {
  const factor = u64(K2 + BigInt(s.length) * 2n);
  const a = u64(s.readBigUInt64LE(0) * K2);
  const b = s.readBigUInt64LE(8);
  const c = u64(s.readBigUInt64LE(s.length - 8) * factor);
  const d = u64(s.readBigUInt64LE(s.length - 16) * K2);
  const y = u64(rotate(a + b, 43n) + rotate(c, 30n) + d);
  const z = hash16(y, a + rotate(b + K2, 18n) + c, factor);
  const e = u64(s.readBigUInt64LE(16) * factor);
  const f = s.readBigUInt64LE(24);
  const g = u64((y + s.readBigUInt64LE(s.length - 32)) * factor);
  const h = u64((z + s.readBigUInt64LE(s.length - 24)) * factor);
  return hash16(rotate(e + f, 43n) + rotate(g, 30n) + h, e + rotate(f + a, 18n) + g, factor);
}

type State = { x: bigint; y: bigint; z: bigint; v: [bigint, bigint]; w: [bigint, bigint] };

function weak32(s: Buffer, at: number, first: bigint, second: bigint): [bigint, bigint] {
  const [w, x, y, z] = [0, 8, 16, 24].map((offset) => s.readBigUInt64LE(at + offset)) as [
    bigint,
    bigint,
    bigint,
    bigint,
  ];
  const a = u64(first + w);
  const b = rotate(second + a + z, 21n);
  const sum = u64(a + x + y);
  return [u64(sum + z), u64(b + rotate(sum, 44n) + a)];
}

/** Mixes 64 bytes in. `last`: the final block, which may overlap the one before, weighs two terms nine times. */
function mix(s: Buffer, at: number, { x, y, z, v, w }: State, factor: bigint, weight: bigint): State {
  const newX = u64(rotate(x + y + v[0] + s.readBigUInt64LE(at + 8), 37n) * factor) ^ u64(w[1] * weight);
  const newY = u64(
    rotate(y + v[1] + s.readBigUInt64LE(at + 48), 42n) * factor + v[0] * weight + s.readBigUInt64LE(at + 40),
  );
  const newZ = u64(rotate(z + w[0], 33n) * factor);
  const newV = weak32(s, at, u64(v[1] * factor), u64(newX + w[0]));
  const newW = weak32(s, at + 32, u64(newZ + w[1]), u64(newY + s.readBigUInt64LE(at + 16)));
  return { x: newZ, y: newY, z: newX, v: newV, w: newW };
}

function long(s: Buffer): bigint {
  const seed = 81n;
  const y = u64(seed * K1 + 113n);
  let state: State = {
    x: u64(seed * K2 + s.readBigUInt64LE(0)),
    y,
    z: u64(shiftMix(y * K2 + 113n) * K2),
    v: [0n, 0n],
    w: [0n, 0n],
  };
  const rest = (s.length - 1) & 63;
  const end = s.length - 1 - rest;
  for (let at = 0; at < end; at += 64) state = mix(s, at, state, K1, 1n);
  const factor = u64(K1 + ((state.z & 0xffn) << 1n));
  const w0 = u64(state.w[0] + BigInt(rest));
  const v0 = u64(state.v[0] + w0);
  state = mix(s, s.length - 64, { ...state, v: [v0, state.v[1]], w: [u64(w0 + v0), state.w[1]] }, factor, 9n);
  return hash16(
    hash16(state.v[0], state.w[0], factor) + shiftMix(state.y) * K0 + state.z,
    hash16(state.v[1], state.w[1], factor) + state.x,
    factor,
  );
}
