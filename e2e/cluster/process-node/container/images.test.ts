import { describe, expect, test } from "vitest";
import { commandLine, findImage } from "./images.ts";

const image = { entrypoint: ["/bin/app", "--default"], env: {}, workingDirectory: "/" };
const images = { "trainer:1": image };

describe("findImage", () => {
  test("finds an image that the node was given", () => {
    expect(findImage("trainer:1", images)).toEqual({ found: image });
  });

  test.each([
    ["trainer:2", "ErrImagePull", "ImagePullBackOff"],
    ["registry.example:5000/team/trainer@sha256:0123456789abcdef0123456789abcdef", "ErrImagePull", "ImagePullBackOff"],
    ["toString", "InvalidImageName", "InvalidImageName"],
    ["Trainer", "InvalidImageName", "InvalidImageName"],
    ["trainer 1", "InvalidImageName", "InvalidImageName"],
    ["", "InvalidImageName", "InvalidImageName"],
  ])("says of %j that it is %s, then %s", (name, first, then) => {
    expect(findImage(name, images)).toMatchObject({ problem: { reasons: [first, then] } });
  });

  test("names the images that it knows", () => {
    const message = 'failed to pull image "trainer:2": this process node knows no such image (it knows: trainer:1)';
    expect(findImage("trainer:2", images)).toMatchObject({ problem: { message } });
  });
});

describe("commandLine", () => {
  test.each([
    ["neither: the image's", [], [], ["/bin/app", "--default"]],
    ["arguments: the image's entrypoint and the arguments", [], ["-x"], ["/bin/app", "--default", "-x"]],
    ["a command: that alone", ["sh"], [], ["sh"]],
    ["both: both", ["sh"], ["-c"], ["sh", "-c"]],
  ])("is, with %s", (_, command, args, expected) => {
    expect(commandLine({ command, args }, image)).toEqual(expected);
  });
});
