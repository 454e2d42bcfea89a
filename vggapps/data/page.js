// Names for pictures that Gradio leaves without one: samples, and both sides of the slider.
() => {
  const name = (image) => decodeURIComponent(image.src.split("/").pop()).replace(/\.\w+$/, "").replace(/[-_]/g, " ");
  const naming = () => {
    document.querySelectorAll(".gallery-item img[alt='']").forEach((image) => {
      image.alt = `sample: ${name(image)}`;
    });
    document.querySelectorAll("#both img[alt='']").forEach((image, side) => {
      image.alt = side ? "the painting" : "the photo";
    });
  };
  naming();
  new MutationObserver(naming).observe(document.body, { childList: true, subtree: true });
}
