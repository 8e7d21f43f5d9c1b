// Arithmetic on pixels, as TensorFlow has it.

// Where a picture lies in the model's rectangle: [top, left, height, width] in its pixels.
// As `content_box` of components/common/picture_fit.py.
export function contentBox([height, width], [whole, across], fit) {
  if (fit !== "pad") return [0, 0, whole, across];
  const side = (own, other, room, otherRoom) =>
    Math.min(room, Math.max(1, Math.floor((own * otherRoom + Math.floor(other / 2)) / other)));
  const inner = side(height, width, whole, across);
  const wide = side(width, height, across, whole);
  return [Math.floor((whole - inner) / 2), Math.floor((across - wide) / 2), inner, wide];
}

// `tf.image.resize`: bilinear between the middles of the pixels, without antialiasing.
// source: {data, height, width, step}, step values a pixel, of which the first `channels` are
// taken. Gives a Float32Array [height, width, channels].
export function bilinear(source, height, width, channels) {
  const rows = places(source.height, height);
  const columns = places(source.width, width);
  const { data, step } = source;
  const result = new Float32Array(height * width * channels);
  let to = 0;
  for (let row = 0; row < height; row++) {
    const above = rows.low[row] * source.width;
    const below = rows.high[row] * source.width;
    const down = rows.part[row];
    for (let column = 0; column < width; column++) {
      const right = columns.part[column];
      const a = (above + columns.low[column]) * step;
      const b = (above + columns.high[column]) * step;
      const c = (below + columns.low[column]) * step;
      const d = (below + columns.high[column]) * step;
      for (let channel = 0; channel < channels; channel++) {
        const top = data[a + channel] + (data[b + channel] - data[a + channel]) * right;
        const bottom = data[c + channel] + (data[d + channel] - data[c + channel]) * right;
        result[to++] = top + (bottom - top) * down;
      }
    }
  }
  return result;
}

function places(from, to) {
  const low = new Int32Array(to);
  const high = new Int32Array(to);
  const part = new Float32Array(to);
  for (let index = 0; index < to; index++) {
    const place = ((index + 0.5) * from) / to - 0.5;
    const floor = Math.floor(place);
    low[index] = Math.max(0, floor);
    high[index] = Math.min(from - 1, floor + 1);
    part[index] = place - floor;
  }
  return { low, high, part };
}

// Index of each pixel's largest value; of equal ones the first.
export function largest(values, channels) {
  const result = new Uint8Array(values.length / channels);
  for (let pixel = 0; pixel < result.length; pixel++) {
    const from = pixel * channels;
    let best = 0;
    for (let channel = 1; channel < channels; channel++) {
      if (values[from + channel] > values[from + best]) best = channel;
    }
    result[pixel] = best;
  }
  return result;
}
