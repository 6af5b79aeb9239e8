#!/bin/sh
# Build the image without privileges, push it, and describe it for a tenant's file.
#
# Needs buildah, and these variables:
#   IMAGE            the name to push to, without a tag: REGISTRY/daylight
#   LIGHTWORK_IMAGE  the platform's image with its digest: REGISTRY/lightwork/dev/platform@sha256:…
#   VERSION          the tag: the commit, which the records of runs then name
# Writes image.txt (the image's name with its digest) and daylight.json (its description).
set -eu
export BUILDAH_ISOLATION=chroot

case "$LIGHTWORK_IMAGE" in
  localhost/*|*@sha256:*) ;;
  *) echo "LIGHTWORK_IMAGE: expected an image with its digest, NAME@sha256:…, got $LIGHTWORK_IMAGE" >&2; exit 2 ;;
esac
# BUILD_OPTIONS and PUSH_OPTIONS are for your own settings, such as a mirror of the package index.
# shellcheck disable=SC2086
buildah build ${BUILD_OPTIONS:-} --build-arg "LIGHTWORK_IMAGE=$LIGHTWORK_IMAGE" --build-arg "GIT_COMMIT=$VERSION" \
  --tag "$IMAGE:$VERSION" .
# shellcheck disable=SC2086
buildah push ${PUSH_OPTIONS:-} --digestfile digest.txt "$IMAGE:$VERSION" "docker://$IMAGE:$VERSION"
echo "$IMAGE@$(cat digest.txt)" > image.txt

container=$(buildah from "$IMAGE:$VERSION")
buildah run "$container" -- lightwork describe daylight --json --image "$(cat image.txt)" > daylight.json
buildah rm "$container" > /dev/null
cat image.txt
